package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"dbsts/shared/policy"
)

// maxMisses is how many rules that do not match are shown to a person, nearest first.
const maxMisses = 20

// standings are those of a subject, in words.
var standings = map[string]string{
	"verified": "verified", "signed": "refused, although its signature is good", "claims_given": "none: claims as given",
}

// page prints lines with a label in front.
type page struct{ out io.Writer }

func (p page) head(title, text string) { _, _ = fmt.Fprintf(p.out, "%-10s %s\n", title, text) }

func (p page) line(label, text string) {
	if text != "" {
		_, _ = fmt.Fprintf(p.out, "  %-8s %s\n", label, strings.Map(visible, text))
	}
}

// visible keeps control sequences of tokens and claims off the terminal.
func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// print tells a person. Now is what ages are counted from.
func (a answer) print(out io.Writer, now time.Time) {
	p := page{out}
	a.printSubject(p, now)
	a.printAsked(p)
	a.printRules(p)
	if a.Allowed {
		p.head("Allowed", fmt.Sprintf("%s for %s, as %s", strings.Join(a.Roles, ", "), seconds(a.Lifetime), a.Identity))
	} else {
		p.head("Refused", fmt.Sprintf("%s; the caller gets %s", a.Reason, a.Error))
		p.line("hint", a.Hint)
	}
	p.line("not tried", strings.Join(a.Unasked, ", "))
}

func (a answer) printSubject(p page, now time.Time) {
	switch s := a.Subject; s {
	case nil:
		p.head("Token", "not proven")
		p.line("says", string(a.Unproven))
	default:
		p.head("Token", standings[s.Standing])
		issuer := s.Issuer
		if s.Preset != "" {
			issuer += " (preset " + s.Preset + ")"
		}
		p.line("issuer", issuer)
		p.line("subject", s.Subject)
		p.line("identity", s.Identity)
		p.line("session", s.Session)
		if s.IssuedAt != nil {
			p.line("issued", stamp(*s.IssuedAt)+", "+now.Sub(*s.IssuedAt).Round(time.Second).String()+" ago")
		}
		if s.Expires != nil {
			p.line("expires", stamp(*s.Expires)+", in "+s.Expires.Sub(now).Round(time.Second).String())
		}
		if s.Overage {
			p.line("note", "it says that it leaves claims out")
		}
	}
}

func (a answer) printAsked(p page) {
	p.head("Asked", a.Target)
	roles := "the default roles"
	if len(a.Asked.Roles) > 0 {
		roles = strings.Join(a.Asked.Roles, ", ")
	}
	p.line("roles", roles)
	if a.Asked.TTL > 0 {
		p.line("ttl", seconds(a.Asked.TTL))
	}
}

func (a answer) printRules(p page) {
	if a.Server == "" {
		return // it did not come to that
	}
	rules := slices.Clone(a.Rules)
	slices.SortStableFunc(rules, func(x, y policy.Verdict) int { return rank(y) - rank(x) })
	source := "of a document"
	if a.Version > 0 {
		source = fmt.Sprintf("of server %s, policy version %d", a.Server, a.Version)
	}
	matched := 0
	for _, v := range rules {
		if v.Matched {
			matched++
		}
	}
	p.head("Rules", fmt.Sprintf("%d of %d match, %s", matched, len(rules), source))
	misses := 0
	for _, v := range rules {
		switch {
		case v.Matched && v.Effect == "deny":
			p.line("deny", v.ID)
		case v.Matched:
			text := v.ID + " gives " + strings.Join(v.Gives, ", ")
			if len(v.Missing) > 0 {
				text += "; not in the catalogue: " + strings.Join(v.Missing, ", ")
			}
			p.line("match", text)
		case v.Failed == nil:
			p.line("broken", v.ID+": "+v.Reason)
		case misses < maxMisses:
			misses++
			id := v.ID
			if v.Effect == "deny" {
				id += " (deny)"
			}
			p.line("no", fmt.Sprintf("%s, condition %d, %s %s: %s", id, v.Failed.Condition+1, v.Failed.Claim, v.Failed.Op, v.Failed.Reason))
		default:
			misses++
		}
	}
	if misses > maxMisses {
		p.line("", fmt.Sprintf("and %d more, which -json shows", misses-maxMisses))
	}
}

// rank puts rules that matched first, deny before allow, then broken ones, then the nearest misses.
func rank(v policy.Verdict) int {
	const matchedDeny, matched, broken = 1 << 30, 1 << 29, 1 << 28
	switch {
	case v.Matched && v.Effect == "deny":
		return matchedDeny
	case v.Matched:
		return matched
	case v.Failed == nil:
		return broken
	}
	return v.Failed.Condition
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func seconds(n int) string { return (time.Duration(n) * time.Second).String() }
