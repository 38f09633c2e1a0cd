package policy

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"dbsts/shared/engine"
)

const (
	maxTrace = 20 // verdicts in a decision: it becomes an audit row
	maxShown = 64 // bytes of a claim value in a reason
)

// Verdict says how one rule fared, for the audit trail and for explain. It goes to the operator, never to the caller.
type Verdict struct {
	engine.Rule
	Effect  string   `json:"effect"`
	Matched bool     `json:"matched"`
	Failed  *Failure `json:"failed,omitempty"`  // the first condition that does not hold
	Gives   []string `json:"gives,omitempty"`   // roles that the rule gives when it matches
	Missing []string `json:"missing,omitempty"` // roles that it names but the catalogue does not hold: they are not given
	Reason  string   `json:"reason,omitempty"`  // why the rule is broken, or what is wrong although it matched
}

// Failure is a condition that does not hold.
type Failure struct {
	Condition int    `json:"condition"` // its place in match, from 0
	Claim     string `json:"claim"`
	Op        string `json:"op"`
	Reason    string `json:"reason"` // shows at most 64 bytes of the claim's value
}

// Explain says how every rule of the request's issuer and target fares, sorted by rule id, without a bound. Claims only:
// roles and lifetime asked for play no part.
func (s *Set) Explain(r Request) []Verdict {
	g := s.groups[scope{r.Issuer, r.Target}]
	if g == nil {
		return nil
	}
	values := g.read(r.Claims)
	out := make([]Verdict, len(g.rules))
	for i, rule := range g.rules {
		out[i] = rule.verdict(values, "")
	}
	return out
}

// verdict tries the rule. A note is kept with rules that match.
func (r *rule) verdict(values []value, note string) Verdict {
	v := Verdict{Rule: r.Rule, Effect: r.effect, Gives: r.names, Missing: r.missing}
	if r.broken != "" {
		v.Reason = r.broken
		return v
	}
	i := r.failing(values)
	if i < 0 {
		v.Matched, v.Reason = true, note
		return v
	}
	c := &r.when[i]
	v.Failed = &Failure{Condition: i, Claim: c.claim, Op: c.op.String(), Reason: c.why(&values[c.slot])}
	return v
}

// verdicts is the short trace of a success; it tries and formats nothing.
func verdicts(matched []*rule) []Verdict {
	matched = matched[:min(len(matched), maxTrace)]
	out := make([]Verdict, len(matched))
	for i, r := range matched {
		out[i] = Verdict{Rule: r.Rule, Effect: r.effect, Matched: true, Gives: r.names, Missing: r.missing}
	}
	return out
}

// brokenVerdicts lists the broken deny rules.
func (g *group) brokenVerdicts() []Verdict {
	var out []Verdict
	for _, n := range g.broken {
		if r := g.rules[n]; r.deny && len(out) < maxTrace {
			out = append(out, r.verdict(nil, ""))
		}
	}
	return out
}

// nearest is the trace of a refusal: rules that matched (deny first), broken ones, then those of which the most
// conditions hold, then any. Only what is kept is formatted. Rules that the index passed over are not tried again: they
// lack the one value that sets them apart.
func (t *trial) nearest(note string) []Verdict {
	rules := t.group.rules
	pool := slices.Concat(t.proposed, t.group.broken)
	slices.Sort(pool)
	pool = slices.Compact(pool)
	type place struct{ rule, rank int }
	best := make([]place, 0, maxTrace+1)
	for _, n := range pool {
		rank := rules[n].rank(t.values)
		at := len(best)
		for at > 0 && best[at-1].rank < rank { // equal ranks stay in the order of their ids
			at--
		}
		if at < maxTrace {
			best = slices.Insert(best, at, place{n, rank})[:min(len(best)+1, maxTrace)]
		}
	}
	for n := 0; n < len(rules) && len(best) < maxTrace; n++ {
		if _, in := slices.BinarySearch(pool, n); !in {
			best = append(best, place{rule: n})
		}
	}
	out := make([]Verdict, len(best))
	for i, p := range best {
		out[i] = rules[p.rule].verdict(t.values, note)
	}
	return out
}

// rank orders rules in a trace. Below the fixed ranks it is the number of conditions that hold before the first that
// does not.
func (r *rule) rank(values []value) int {
	const matchedDeny, matched, broken = 1 << 30, 1 << 29, 1 << 28
	if r.broken != "" {
		return broken
	}
	i := r.failing(values)
	switch {
	case i >= 0:
		return i
	case r.deny:
		return matchedDeny
	}
	return matched
}

// why says in words why the condition does not hold. Plain joins: twenty of these are most of a refusal's cost.
func (c *condition) why(v *value) string {
	if v.shape == absent {
		return "claim " + c.claim + " is absent"
	}
	want, fits := c.fits(v)
	switch {
	case v.shape == other && typeName(v.raw) == string(isNumber):
		return "number is out of bounds"
	case !fits:
		return "value has another type (" + typeName(v.raw) + ", want " + want + ")"
	case v.shape == list && c.op == opHasAll:
		i := slices.IndexFunc(c.want, func(s scalar) bool { return !v.contains(s) })
		return "value lacks the wanted value " + strconv.Itoa(i) + ", counted from 0"
	case v.shape == list:
		return "none of its " + strconv.Itoa(len(v.items)) + " values is wanted"
	case c.pattern != nil && len(v.items[0].text) > maxText:
		return "value is longer than " + strconv.Itoa(maxText) + " bytes"
	}
	return "value " + shown(v) + " does not satisfy " + c.op.String()
}

// fits tells whether the claim has a type that the operator takes, and names that type.
func (c *condition) fits(v *value) (want string, ok bool) {
	k := isString // glob, re
	if len(c.want) > 0 {
		k = c.want[0].kind
	}
	ok = v.shape == single && v.items[0].kind == k
	if c.op == opHas || c.op == opHasAny || c.op == opHasAll {
		return "array", ok || v.shape == list
	}
	return string(k), ok
}

// shown is a scalar claim as JSON would have it, cut to maxShown bytes.
func shown(v *value) string {
	switch raw := v.raw.(type) {
	case string:
		return strconv.Quote(clip(raw))
	case json.Number:
		return clip(raw.String()) // its own text, not our digits
	}
	return v.items[0].text
}

// clip cuts between characters.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	n := maxShown
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
