package policy

import (
	"slices"
	"strings"

	"dbsts/shared/identity"
)

// group is the rules of one issuer and target. A rule with a condition on an exact value is found through an index, by
// the rarest such value; only the others are tried on every request. The index proposes, the rule itself decides.
type group struct {
	rules      []*rule // sorted by id after finish
	claims     []string
	slots      map[string]int      // claim name as written → place in claims
	index      []map[scalar][]int  // by slot: value → rules to try
	scan       []int               // rules to try always
	broken     []int               // rules to try never
	reads      map[string]struct{} // top-level claims that any rule reads, exposes or takes the identity from
	brokenDeny bool
}

func newGroup() *group {
	return &group{slots: map[string]int{}, reads: map[string]struct{}{}}
}

func (g *group) add(r *rule) {
	g.rules = append(g.rules, r)
	if r.broken != "" {
		g.brokenDeny = g.brokenDeny || r.deny
		return
	}
	for i := range r.when {
		c := &r.when[i]
		slot, ok := g.slots[c.claim]
		if !ok {
			slot = len(g.claims)
			g.slots[c.claim] = slot
			g.claims = append(g.claims, c.claim)
		}
		c.slot = slot
		g.reads[topLevel(c.claim)] = struct{}{}
	}
	for _, claim := range r.expose {
		g.reads[topLevel(claim)] = struct{}{}
	}
	if r.identity != "" {
		g.reads[topLevel(r.identity)] = struct{}{}
	}
}

// entry is one value of one claim in the index.
type entry struct {
	slot int
	scalar
}

// finish sorts the rules and builds the index.
func (g *group) finish() {
	slices.SortFunc(g.rules, func(a, b *rule) int { return strings.Compare(a.ID, b.ID) })
	users := map[entry]int{}
	for _, r := range g.rules {
		for i := range r.when {
			for _, keys := range r.when[i].keys() {
				for _, key := range keys {
					users[entry{r.when[i].slot, key}]++
				}
			}
		}
	}
	g.index = make([]map[scalar][]int, len(g.claims))
	for n, r := range g.rules {
		if r.broken != "" {
			g.broken = append(g.broken, n)
			continue
		}
		slot, keys := rarest(r, users)
		if keys == nil {
			g.scan = append(g.scan, n)
			continue
		}
		if g.index[slot] == nil {
			g.index[slot] = map[scalar][]int{}
		}
		for _, key := range keys {
			g.index[slot][key] = append(g.index[slot][key], n)
		}
	}
}

// rarest picks the rule's index keys that the fewest rules share; nil when no condition names an exact value.
func rarest(r *rule, users map[entry]int) (slot int, keys []scalar) {
	least := 0
	for i := range r.when {
		for _, alternative := range r.when[i].keys() {
			n := 0
			for _, key := range alternative {
				n += users[entry{r.when[i].slot, key}]
			}
			if keys == nil || n < least {
				least, slot, keys = n, r.when[i].slot, alternative
			}
		}
	}
	return slot, keys
}

// trial is the rules of a group tried on one token.
type trial struct {
	group    *group
	values   []value // by slot: every claim that a rule reads, looked up once
	proposed []int   // rules that may match; one may come twice, as several groups of a token can lead to it
	matched  []*rule // rules whose conditions all hold, sorted by id
}

func (g *group) try(claims map[string]any) trial {
	t := trial{group: g, values: g.read(claims)}
	t.proposed = slices.Clip(g.scan)
	for slot, index := range g.index {
		if index == nil {
			continue
		}
		for _, item := range t.values[slot].items {
			t.proposed = append(t.proposed, index[item]...)
		}
	}
	var places []int
	for _, n := range t.proposed {
		if g.rules[n].failing(t.values) < 0 {
			places = append(places, n)
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	t.matched = make([]*rule, len(places))
	for i, n := range places {
		t.matched[i] = g.rules[n]
	}
	return t
}

func (g *group) read(claims map[string]any) []value {
	values := make([]value, len(g.claims))
	for i, claim := range g.claims {
		if raw, ok := identity.Lookup(claims, claim); ok {
			values[i] = newValue(raw)
		}
	}
	return values
}

// failing is the place of the first condition that does not hold, or -1.
func (r *rule) failing(values []value) int {
	for i := range r.when {
		if c := &r.when[i]; !c.holds(&values[c.slot]) {
			return i
		}
	}
	return -1
}

// leftOut tells whether the token leaves out a claim that a rule reads: a deny rule on groups would not see them
// (OpenID Connect Core 5.6.2 _claim_names; Entra ID sends hasgroups in some flows instead).
func (g *group) leftOut(r Request) bool {
	named := false
	if raw, ok := r.Claims["_claim_names"]; ok {
		sources, ok := raw.(map[string]any)
		if !ok {
			return true
		}
		named = true
		for claim := range sources {
			if _, ok := g.reads[claim]; ok {
				return true
			}
		}
	}
	if has, ok := r.Claims["hasgroups"]; ok {
		named = true
		if _, reads := g.reads["groups"]; reads && has != false {
			return true
		}
	}
	return r.Overage && !named // something is left out and it is not said what
}

// claimsRead keeps of a token what rules read.
func (t *trial) claimsRead() map[string]any {
	read := map[string]any{}
	for i, v := range t.values {
		if v.shape != absent {
			read[t.group.claims[i]] = v.raw
		}
	}
	return read
}

// exposed keeps what the rules expose: scalars, and arrays that hold nothing else.
func exposed(rules []*rule, claims map[string]any) map[string]any {
	out := map[string]any{}
	for _, r := range rules {
		for _, claim := range r.expose {
			raw, ok := identity.Lookup(claims, claim)
			if !ok {
				continue
			}
			v := newValue(raw)
			array, _ := raw.([]any)
			if v.shape == single || v.shape == list && len(v.items) == len(array) {
				out[claim] = raw
			}
		}
	}
	return out
}
