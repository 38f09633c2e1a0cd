// Package policy decides which roles a proven token gets, for how long, and why.
//
// It is pure: rules, catalogue and claims go in, a decision comes out; no clock, no I/O. It assumes that the claims were
// verified (package identity, numbers as json.Number) and that the document holds enabled and currently valid rows only.
// It does not end anything, and the database checks every decision again.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dbsts/shared/engine"
)

// Sentinels. Decide wraps exactly one of them; Decision.Reason says more. None of their texts holds a claim value.
var (
	ErrNoRule   = errors.New("no rule allows this")                       // invalid_target
	ErrDenied   = errors.New("a rule denies this")                        // invalid_target
	ErrScope    = errors.New("roles not allowed")                         // invalid_scope
	ErrOverage  = errors.New("token leaves out claims that rules read")   // invalid_request
	ErrBroken   = errors.New("a deny rule cannot be understood")          // temporarily_unavailable: an operator must mend it
	ErrLifetime = errors.New("lifetime shorter than the least permitted") // invalid_request
)

const (
	// minLifetime is the shortest credential worth a login (design §2, numbers).
	minLifetime = 30 * time.Second
	// defaultLifetime is the cap of a rule or a role without max_ttl (design §2, numbers).
	defaultLifetime = 15 * time.Minute
)

// Request is one question.
type Request struct {
	Issuer   string         // exact iss
	Target   string         // name of the target
	Claims   map[string]any // of the verified token; numbers are json.Number
	Overage  bool           // the token says that it leaves claims out (Token.Overage)
	Roles    []string       // asked; empty: the rules' default roles
	Lifetime time.Duration  // asked; 0: no wish. It can only shorten
}

// Decision is the answer. On an error only Trace, Tried and Reason are filled.
type Decision struct {
	Roles    []string       // sorted, no duplicates
	Lifetime time.Duration  // whole seconds
	Rules    []engine.Rule  // matching allow rules that give one of Roles, sorted by id
	Identity string         // claim name or JSON Pointer of the stable identity; empty: the issuer's
	Claims   map[string]any // claims that rules of this issuer and target read and that the token has, by name as written
	Exposed  map[string]any // claims that Rules expose: scalars and arrays of scalars, by name as written
	Trace    []Verdict      // at most 20. Success: the rules that matched. Refusal: matched, broken, then the nearest misses
	Tried    int            // rules of this issuer and target
	// Reason of a refusal: no_rule, denied, rule_broken, claims_overage, identity_ambiguous, role_not_allowed,
	// no_default_roles, roles_mix_activation, default_roles_mix or lifetime_too_short.
	Reason string
}

// Set is a compiled policy document. It never changes: safe for concurrent use.
type Set struct {
	groups map[scope]*group
	roles  map[string]map[string]*role // target, name
	broken []Broken
}

// scope is what selects the candidate rules.
type scope struct{ issuer, target string }

// role is one catalogue row.
type role struct {
	name   string
	set    bool // activation set; else inherit
	maxTTL time.Duration
}

// Broken is a row that cannot be understood. A broken allow rule never matches, a broken role is not available, and a
// broken deny rule refuses every request for its issuer and target.
type Broken struct {
	engine.Rule        // zero for a catalogue row
	Effect      string `json:"effect,omitempty"`
	Issuer      string `json:"issuer,omitempty"`
	Target      string `json:"target"`
	Role        string `json:"role,omitempty"` // catalogue row
	Reason      string `json:"reason"`
}

// Broken lists the rows that cannot be understood, in the order of the document, roles first.
func (s *Set) Broken() []Broken { return slices.Clone(s.broken) }

// Decide answers one request. All rules of its issuer and target are tried: one matching deny rule refuses, else the
// matching allow rules together say what may be had. A request for more than that is refused as a whole.
func (s *Set) Decide(r Request) (Decision, error) {
	g := s.groups[scope{r.Issuer, r.Target}]
	if g == nil {
		return refuse(ErrNoRule, "no_rule", 0, nil)
	}
	if g.brokenDeny {
		return refuse(ErrBroken, "rule_broken", len(g.rules), g.brokenVerdicts())
	}
	if g.leftOut(r) {
		return refuse(ErrOverage, "claims_overage", len(g.rules), nil)
	}
	t := g.try(r.Claims)
	if slices.ContainsFunc(t.matched, func(m *rule) bool { return m.deny }) {
		return refuse(ErrDenied, "denied", len(g.rules), t.nearest(""))
	}
	if len(t.matched) == 0 {
		return refuse(ErrNoRule, "no_rule", len(g.rules), t.nearest(""))
	}
	d := Decision{Tried: len(g.rules)}
	granted, reason, note := s.grant(r, t.matched)
	if reason != "" {
		return refuse(ErrScope, reason, len(g.rules), t.nearest(note))
	}
	contributing := slices.DeleteFunc(slices.Clone(t.matched), func(m *rule) bool { return !m.givesAny(granted) })
	if slices.ContainsFunc(contributing, func(m *rule) bool { return m.identity != contributing[0].identity }) {
		return refuse(ErrNoRule, "identity_ambiguous", len(g.rules), t.nearest("identity_ambiguous"))
	}
	if d.Lifetime = lifetime(r.Lifetime, granted, contributing); d.Lifetime < minLifetime {
		return refuse(ErrLifetime, "lifetime_too_short", len(g.rules), t.nearest(""))
	}
	d.Identity = contributing[0].identity
	for _, role := range granted {
		d.Roles = append(d.Roles, role.name)
	}
	for _, m := range contributing {
		d.Rules = append(d.Rules, m.Rule)
	}
	d.Claims, d.Exposed = t.claimsRead(), exposed(contributing, r.Claims)
	d.Trace = verdicts(t.matched)
	return d, nil
}

// grant picks the catalogue roles: those asked for, or else the defaults. They are sorted by name. A refusal has a
// reason, and a note for the operator.
func (s *Set) grant(r Request, matched []*rule) (granted []*role, reason, note string) {
	if len(r.Roles) == 0 {
		for _, m := range matched {
			granted = append(granted, m.defaults...)
		}
		if len(granted) == 0 {
			return nil, "no_default_roles", "no default role: ask for roles by scope"
		}
	}
	for _, name := range r.Roles {
		role := s.roles[r.Target][name]
		if role == nil || !slices.ContainsFunc(matched, func(m *rule) bool { return slices.Contains(m.gives, role) }) {
			return nil, "role_not_allowed", ""
		}
		granted = append(granted, role)
	}
	slices.SortFunc(granted, func(a, b *role) int { return strings.Compare(a.name, b.name) })
	granted = slices.Compact(granted)
	// A session can SET ROLE to one role only, and an inherited role beside it would be lost there (design §2.3).
	if len(granted) > 1 && slices.ContainsFunc(granted, func(role *role) bool { return role.set }) {
		if len(r.Roles) == 0 {
			return nil, "default_roles_mix", "default roles hold a role of activation set beside others: ask for roles by scope"
		}
		return nil, "roles_mix_activation", "a role of activation set is granted alone"
	}
	return granted, "", ""
}

// lifetime is the smallest cap over the granted roles, shortened by the wish. A role's cap is the largest max_ttl among
// the rules that give it, but no more than its own.
func lifetime(wish time.Duration, granted []*role, contributing []*rule) time.Duration {
	least := time.Duration(-1)
	for _, role := range granted {
		var limit time.Duration
		for _, m := range contributing {
			if slices.Contains(m.gives, role) {
				limit = max(limit, m.maxTTL)
			}
		}
		limit = min(limit, role.maxTTL)
		if least < 0 || limit < least {
			least = limit
		}
	}
	if wish != 0 {
		least = min(least, wish)
	}
	return least.Truncate(time.Second)
}

// refuse builds the answer to a request that is not granted.
func refuse(err error, reason string, tried int, trace []Verdict) (Decision, error) {
	return Decision{Reason: reason, Tried: tried, Trace: trace}, fmt.Errorf("%w: %s", err, reason)
}
