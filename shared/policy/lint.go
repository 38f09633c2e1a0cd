package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Severity says how bad a finding is.
type Severity string

// An Error lets in whom nobody meant, or cannot do what it says; the database refuses such a rule where it can see it. A
// Warning is for somebody to think about.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong, or unwise, about a rule. Texts hold names of claims and roles, not claim values.
type Finding struct {
	Target   string   `json:"target"`
	Rule     string   `json:"rule,omitempty"` // empty: it is about the target as a whole
	Issuer   string   `json:"issuer,omitempty"`
	Severity Severity `json:"severity"`
	// Check is one of broken, issuer_unknown, wide, unbound, email_unverified, claim_mutable, pattern_on_identity,
	// role_missing (errors); excludes_only, branch_open, name_reusable, never_holds, ttl_capped, deny_by_groups, deny_only.
	Check string `json:"check"`
	Text  string `json:"text"`
}

// habit is what is known of the tokens of a preset (config.Preset). Claims are named as in conditions.
type habit struct {
	bind     [][]string // an allow rule names exact values of all claims in one of these lists
	bindHint string
	narrow   []string // it should also say something about one of these
	check    string   // of a rule that does not
	hint     string
	mutable  []string // claims that can change hands, beside those that do everywhere
	textOnly bool     // values are text, however they look; but see numbers
}

const kubernetesUID = "/kubernetes.io/serviceaccount/uid"

// habits by preset. Sources: protocol notes of each provider, as in docs/rules.md.
var habits = map[string]habit{
	"github": {
		bind:     [][]string{{"repository_id"}, {"repository_owner_id"}},
		bindHint: "bind repository_id or repository_owner_id: anybody's workflows get tokens there, and names can be taken over",
		narrow:   []string{"environment", "ref", "ref_protected", "workflow_ref", "job_workflow_ref"},
		check:    "branch_open", hint: "any branch will do, one of a pull request too: bind environment, ref or job_workflow_ref", textOnly: true,
	},
	"gitlab": {
		bind:     [][]string{{"project_id"}, {"namespace_id"}},
		bindHint: "bind project_id or namespace_id: anybody's pipelines get tokens there, and paths can be taken over",
		narrow:   []string{"ref_protected", "environment_protected"},
		check:    "branch_open", hint: `any developer's branch will do: bind ref_protected to "true"`, textOnly: true,
	},
	"kubernetes": {
		bind:     [][]string{{kubernetesUID}, {"/kubernetes.io/namespace", "/kubernetes.io/serviceaccount/name"}, {"sub"}},
		bindHint: "bind namespace and service account, or " + kubernetesUID + ": every pod of the cluster gets tokens there",
		narrow:   []string{kubernetesUID}, check: "name_reusable",
		hint: "a deleted service account's name can be used again: bind " + kubernetesUID, textOnly: true,
	},
	"entra": {mutable: []string{"email"}},
}

var (
	// identities are claims that name one person, workload or place for good. A pattern on them names many.
	identities = []string{
		"sub", "oid", "uid", "user_id", "repository_id", "repository_owner_id", "enterprise_id", "project_id", "namespace_id", kubernetesUID,
	}
	// mutables can be changed or given to somebody else (OpenID Connect Core §5.7; Microsoft, ID token claims).
	mutables = []string{"upn", "preferred_username", "unique_name"}
	// numbers are no text where everything else is.
	numbers = []string{"iat", "nbf", "exp", "runner_id", "/kubernetes.io/warnafter"}
	// unlikes have nothing in common: a pattern that covers them all covers everything.
	unlikes = []string{"a", "Zz9", "0", "x/y:z@w.example", "~ -_"}
)

// Lint looks for rules that say something else than their author meant. Presets are the configured issuers, each with
// the name of its preset or ""; nil: not known. Findings are sorted by target and rule.
func (s *Set) Lint(presets map[string]string) []Finding {
	var all []Finding
	for _, b := range s.broken {
		f := Finding{Target: b.Target, Rule: b.ID, Issuer: b.Issuer, Severity: Error, Check: "broken", Text: "cannot be understood: " + b.Reason}
		if b.Role != "" {
			f.Text = "role " + b.Role + " " + f.Text
		}
		all = append(all, f)
	}
	allows := map[string]bool{} // targets with rules → whether one of them allows
	for at, g := range s.groups {
		preset, configured := presets[at.issuer]
		for _, r := range g.rules {
			allows[at.target] = allows[at.target] || !r.deny
			if r.broken != "" {
				continue
			}
			l := linter{rule: r, target: at.target, issuer: at.issuer, preset: preset}
			if presets != nil && !configured {
				l.report(Error, "issuer_unknown", "the configuration has no issuer %s: the rule is never asked", at.issuer)
			}
			l.lint()
			all = append(all, l.findings...)
		}
	}
	for target, some := range allows {
		if !some {
			text := "no rule allows anything: deny rules have nothing to take away"
			all = append(all, Finding{Target: target, Severity: Warning, Check: "deny_only", Text: text})
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Target, b.Target), strings.Compare(a.Rule, b.Rule))
	})
	return all
}

// linter collects what is found about one rule.
type linter struct {
	*rule
	target, issuer, preset string
	findings               []Finding
}

func (l *linter) report(severity Severity, check, format string, args ...any) {
	l.findings = append(l.findings, Finding{
		Target: l.target, Rule: l.ID, Issuer: l.issuer, Severity: severity, Check: check, Text: fmt.Sprintf(format, args...),
	})
}

func (l *linter) lint() {
	if l.deny {
		if l.every(func(c *condition) bool { return strings.HasSuffix(strings.ToLower(c.claim), "groups") }) {
			l.report(Warning, "deny_by_groups", "providers leave groups out when there are many, and then it denies nobody: deny by another claim")
		}
		return
	}
	known := habits[l.preset]
	l.lintWidth(known)
	l.lintClaims(known)
	for _, name := range l.missing {
		l.report(Error, "role_missing", "role %s is not in the catalogue of %s, or disabled there: it is not given", name, l.target)
	}
	for _, role := range l.gives {
		if l.maxTTL > role.maxTTL {
			l.report(Warning, "ttl_capped", "max_ttl is %d, but logins with %s end after %d seconds", l.maxTTL/time.Second, role.name, role.maxTTL/time.Second)
		}
	}
}

// lintWidth asks whether the rule says enough about who.
func (l *linter) lintWidth(h habit) {
	exclusion := func(c *condition) bool { return c.op == opNotIn || c.wide() }
	switch {
	case l.every((*condition).wide):
		l.report(Error, "wide", "every token of the issuer satisfies it: say who is meant")
		return
	case l.every(exclusion):
		l.report(Warning, "excludes_only", "it lets in everybody whom it does not name")
	}
	switch {
	case h.bind == nil:
	case !slices.ContainsFunc(h.bind, l.names):
		l.report(Error, "unbound", "%s", h.bindHint)
	case !slices.ContainsFunc(h.narrow, l.reads):
		l.report(Warning, h.check, "%s", h.hint)
	}
}

// lintClaims looks at the conditions one by one.
func (l *linter) lintClaims(h habit) {
	forms := l.verifiedForms()
	found := map[string]bool{} // one report for each claim is enough
	for i := range l.when {
		c := &l.when[i]
		claim := plain(c.claim)
		if found[claim] {
			continue
		}
		found[claim] = true
		switch {
		case slices.Contains(mutables, claim) || slices.Contains(h.mutable, claim):
			l.report(Error, "claim_mutable", "%s can be changed or given to somebody else: bind sub, oid or another stable id", claim)
		case claim == "email" && len(forms) == 0:
			l.report(Error, "email_unverified", `email counts only beside {"claim": "email_verified", "op": "eq", "value": true}`)
		case c.pattern != nil && (slices.Contains(identities, claim) || l.identity != "" && claim == plain(l.identity)):
			l.report(Error, "pattern_on_identity", "%s identifies one caller, and a pattern admits many: use eq or in", claim)
		case h.textOnly && len(c.want) > 0 && c.want[0].kind != isString && !slices.Contains(numbers, claim):
			l.report(Warning, "never_holds", "%s is text in these tokens, and this is a %s: put it between quotes", claim, c.want[0].kind)
		case claim == "email_verified" && l.preset != "" && l.preset != "cognito" && slices.Equal(forms, []kind{isString}):
			l.report(Warning, "never_holds", "email_verified is a boolean in these tokens: write true without quotes")
		}
	}
}

// verifiedForms lists the types in which the rule insists on email_verified. Cognito sends the text "true".
func (l *linter) verifiedForms() []kind {
	forms := map[kind]struct{}{}
	for i := range l.when {
		if c := &l.when[i]; c.op == opEq && plain(c.claim) == "email_verified" && c.want[0].text == "true" {
			forms[c.want[0].kind] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(forms))
}

// every tells whether all conditions are so.
func (l *linter) every(so func(*condition) bool) bool {
	for i := range l.when {
		if !so(&l.when[i]) {
			return false
		}
	}
	return true
}

// names tells whether the conditions name exact values of all these claims.
func (l *linter) names(claims []string) bool {
	return !slices.ContainsFunc(claims, func(claim string) bool {
		return l.every(func(c *condition) bool { return plain(c.claim) != claim || c.keys() == nil })
	})
}

// reads tells whether a condition says anything about the claim.
func (l *linter) reads(claim string) bool {
	return !l.every(func(c *condition) bool { return plain(c.claim) != claim || c.wide() })
}

// wide tells whether every token of an issuer that passes verification satisfies the condition, or nearly every.
func (c *condition) wide() bool {
	claim := plain(c.claim)
	return c.op == opPresent || claim == "iss" || claim == "aud" ||
		c.pattern != nil && !slices.ContainsFunc(unlikes, func(s string) bool { return !c.pattern.MatchString(s) })
}

// plain writes a pointer to a top-level claim as that claim's name.
func plain(claim string) string {
	if strings.LastIndexByte(claim, '/') == 0 {
		return topLevel(claim)
	}
	return claim
}
