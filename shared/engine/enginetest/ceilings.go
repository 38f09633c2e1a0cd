package enginetest

import (
	"errors"
	"time"

	"dbsts/shared/engine"
)

// ceiling is a wish that one ceiling refuses: for these roles, with this change.
type ceiling struct {
	word   string
	about  string
	roles  []string
	change func(*engine.Mint)
}

// cited makes a wish cite one rule of this case instead of its own.
func (s *scene) cited(id string, version int64) func(*engine.Mint) {
	return func(m *engine.Mint) { m.Rules = []engine.Rule{{ID: id + s.name, Version: version}} }
}

// elsewhere makes a role of the second target, and makes a wish be for it.
func (s *scene) elsewhere() func(*engine.Mint) {
	s.t.Helper()
	role := "e_" + s.name
	s.must("make role", s.MakeRole(s.ctx(), Role{Name: role, Target: s.say.Elsewhere, Activation: "inherit", MaxTTL: 3600}))
	s.putRule(Rule{ID: "elsewhere-" + s.name, Target: s.say.Elsewhere, Roles: []string{role}})
	return func(m *engine.Mint) {
		s.cited("elsewhere-", 1)(m)
		m.Target, m.Roles = s.say.Elsewhere, []string{role}
	}
}

func everyCeiling(s *scene) {
	elsewhere := s.elsewhere()
	reader := s.role("inherit", Read)
	var all []ceiling
	all = append(all, s.ruleCeilings(reader)...)
	all = append(all, s.roleCeilings(reader)...)
	all = append(all, s.lifetimeCeilings(reader)...)
	all = append(all, s.claimCeilings(reader, elsewhere)...)
	all = append(all, ceiling{"target_unknown", "no such target", []string{reader}, func(m *engine.Mint) { m.Target = "nowhere" }})
	for _, c := range all {
		m := s.wish(c.roles...)
		c.change(&m)
		s.t.Log(c.word + ": " + c.about)
		s.refused(c.word, m)
	}
	// What stands just within the ceilings is minted.
	for _, change := range []func(*engine.Mint){
		func(m *engine.Mint) { m.Lifetime = 30 },
		func(m *engine.Mint) { s.cited("short-", 1)(m); m.Lifetime = 60 },
		func(m *engine.Mint) { m.Lifetime = 3600 },
		elsewhere,
	} {
		m := s.wish(reader)
		change(&m)
		_, err := s.ask(m)
		s.must("mint within every ceiling", err)
	}
}

func (s *scene) ruleCeilings(reader string) []ceiling {
	s.t.Helper()
	for _, r := range []Rule{
		{ID: "deny-", Deny: true},
		{ID: "off-", Disabled: true},
		{ID: "issuer-", Issuer: "https://other.test"},
		{ID: "past-", Until: time.Now().Add(-time.Hour)},
		{ID: "future-", From: time.Now().Add(time.Hour)},
	} {
		r.ID += s.name
		r.Roles = []string{reader}
		s.putRule(r)
	}
	list := []ceiling{
		{"", "no rule", nil, func(m *engine.Mint) { m.Rules = []engine.Rule{} }},
		{"", "unknown rule", nil, s.cited("none-", 1)},
		{"", "old version", nil, s.cited("rule0-", 2)},
		{"", "deny rule", nil, s.cited("deny-", 1)},
		{"", "disabled rule", nil, s.cited("off-", 1)},
		{"", "another issuer's", nil, s.cited("issuer-", 1)},
		{"", "another target's", nil, s.cited("elsewhere-", 1)},
		{"", "ended rule", nil, s.cited("past-", 1)},
		{"", "rule to come", nil, s.cited("future-", 1)},
		{"", "a live rule and a dead one", nil, func(m *engine.Mint) { m.Rules = append(m.Rules, engine.Rule{ID: "deny-" + s.name, Version: 1}) }},
	}
	for n := range list {
		list[n].word, list[n].roles = "rule_not_live", []string{reader}
	}
	return list
}

func (s *scene) roleCeilings(reader string) []ceiling {
	s.t.Helper()
	maker, other, off := s.role("set", Create), s.role("set", Create), s.role("inherit", Read)
	s.must("amend", s.Amend(s.ctx(), off, false, 3600))
	asked := func(roles ...string) func(*engine.Mint) { return func(m *engine.Mint) { m.Roles = roles } }
	return []ceiling{
		{"role_missing", "no role", []string{reader}, func(m *engine.Mint) { m.Roles = []string{} }},
		{"role_not_in_catalogue", "unknown role", []string{reader}, asked("nobody")},
		{"role_not_in_catalogue", "disabled role", []string{off}, asked(off)},
		{"role_not_in_catalogue", "another target's role", []string{reader}, asked("e_" + s.name)},
		{"role_not_covered_by_rule", "a rule for another role", []string{reader}, asked(maker)},
		{"role_not_covered_by_rule", "a rule for one of two roles", []string{reader}, asked(maker, reader)},
		{"roles_do_not_mix", "inherit and set", []string{reader, maker}, asked(reader, maker)},
		{"roles_do_not_mix", "two of set", []string{maker, other}, asked(maker, other)},
	}
}

func (s *scene) lifetimeCeilings(reader string) []ceiling {
	s.t.Helper()
	short := s.role("inherit", Read)
	s.must("amend", s.Amend(s.ctx(), short, true, 60))
	s.putRule(Rule{ID: "short-" + s.name, Roles: []string{reader}, MaxTTL: 60})
	lasting := func(seconds int) func(*engine.Mint) { return func(m *engine.Mint) { m.Lifetime = seconds } }
	return []ceiling{
		{"token_from_the_future", "two minutes ahead", []string{reader}, func(m *engine.Mint) { m.IssuedAt += 120 }},
		{"lifetime_too_short", "29 seconds", []string{reader}, lasting(29)},
		{"lifetime_too_short", "none", []string{reader}, lasting(0)},
		{"lifetime_too_short", "less than none", []string{reader}, lasting(-60)},
		{"lifetime_exceeded", "than the role's", []string{short}, lasting(61)},
		{"lifetime_exceeded", "than one of two roles'", []string{reader, short}, lasting(61)},
		{"lifetime_exceeded", "than the rule's", []string{reader}, func(m *engine.Mint) { s.cited("short-", 1)(m); m.Lifetime = 61 }},
	}
}

func (s *scene) claimCeilings(reader string, elsewhere func(*engine.Mint)) []ceiling {
	s.t.Helper()
	exposing := func(claim string, change func(*engine.Mint)) func(*engine.Mint) {
		return func(m *engine.Mint) {
			change(m)
			m.Lifetime, m.Exposed = 60, map[string]any{claim: "acme"}
		}
	}
	return []ceiling{
		{"claim_not_exposed", "one that no rule names", []string{reader}, exposing("admin", func(*engine.Mint) {})},
		{"claim_not_exposed", "one that only another rule names", []string{reader}, exposing("tenant", s.cited("short-", 1))},
		{"claim_not_exposed", "one in another database", []string{reader}, exposing("tenant", elsewhere)},
	}
}

func quotas(s *scene) {
	defer func() { s.must("reset limits", s.Limit(s.ctx(), Limits{})) }()
	role := s.role("inherit", Read)
	limit := func(limits Limits) {
		s.t.Helper()
		s.must("limit", s.Limit(s.ctx(), limits))
	}
	limit(Limits{Frozen: true})
	s.refused("frozen", s.wish(role))

	limit(Limits{LivePerIdentity: 2})
	first, second := s.mint(role), s.mint(role)
	s.refused("quota_live_identity", s.wish(role))
	stranger := s.wish(role)
	stranger.Identity = "other-" + s.name
	_, err := s.ask(stranger)
	s.must("mint for another identity", err)
	s.expire(first) // what is being ended no longer counts, and neither does what was minted an hour ago
	s.mint(role)

	limit(Limits{MintsPerIdentityMinute: 2})
	s.refused("quota_rate_identity", s.wish(role))
	s.must("backdate", s.Backdate(s.ctx(), second.Grant, 61*time.Second))
	s.mint(role)

	limit(Limits{MintsPerIssuerMinute: 1})
	s.refused("quota_rate_issuer", s.wish(role))
	limit(Limits{LivePerTarget: 1})
	s.refused("quota_live_target", s.wish(role))
}

// refusalsLimited sends three times what may go on record in a minute; a minute may end meanwhile, so there are up to two.
func refusalsLimited(s *scene) {
	const limit, sent = 3, 12
	defer func() { s.must("reset limits", s.Limit(s.ctx(), Limits{})) }()
	s.must("limit", s.Limit(s.ctx(), Limits{RefusalsPerIssuer: limit}))
	who := s.wish(s.role("inherit", Read)).Subject
	who.Issuer = "https://flood.test/" + s.name
	left := 0
	for range sent {
		err := s.Minter().Refuse(s.ctx(), engine.Refusal{Subject: who, Target: "shop", Reason: "no_rule"})
		if errors.Is(err, engine.ErrLimited) {
			left++
			continue
		}
		s.must("refuse", err)
	}
	recorded := s.events(s.identity)
	if left == 0 || left+len(recorded) != sent || len(recorded) > 2*(limit+1) || recorded[limit].Outcome != "limited" && left > sent/2 {
		s.t.Errorf("%d refusals were left out, on record are %v", left, recorded)
	}
	who.Issuer = "https://quiet.test/" + s.name
	s.must("refuse for another issuer", s.Minter().Refuse(s.ctx(), engine.Refusal{Subject: who, Target: "shop", Reason: "no_rule"}))
}
