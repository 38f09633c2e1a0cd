package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/engine"
)

// Times. Everything is on loopback; patience only bounds a test that fails.
const (
	patience = 20 * time.Second
	glance   = 20 * time.Millisecond
	lifetime = 300 // seconds
)

// scene is one case: a fixture, and names that no other case has. Its helpers fail the test.
type scene struct {
	Fixture
	t        *testing.T
	say      Speech
	name     string // ends the names of everything this case makes
	identity string
	rules    map[string]string // role → the rule that gives it
}

func newScene(t *testing.T, f Fixture) *scene {
	t.Helper()
	name := engine.NewGrantID()[:10]
	return &scene{Fixture: f, t: t, say: f.Speech(), name: name, identity: "user-" + name, rules: map[string]string{}}
}

func (s *scene) ctx() context.Context { return s.t.Context() }

func (s *scene) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// role makes a role, with a rule that gives it.
func (s *scene) role(activation string, may ...Right) string {
	s.t.Helper()
	return s.roleNamed(fmt.Sprintf("r%d_%s", len(s.rules), s.name), activation, may...)
}

func (s *scene) roleNamed(name, activation string, may ...Right) string {
	s.t.Helper()
	s.must("make role", s.MakeRole(s.ctx(), Role{Name: name, Target: s.say.Target, Activation: activation, MaxTTL: 3600, May: may}))
	id := fmt.Sprintf("rule%d-%s", len(s.rules), s.name)
	s.putRule(Rule{ID: id, Roles: []string{name}, Expose: []string{"tenant", "groups", "level"}})
	s.rules[name] = id
	return name
}

func (s *scene) putRule(r Rule) {
	s.t.Helper()
	if r.Issuer == "" {
		r.Issuer = s.say.Issuer
	}
	if r.Target == "" {
		r.Target = s.say.Target
	}
	if r.MaxTTL == 0 {
		r.MaxTTL = 3600
	}
	s.must("put rule", s.PutRule(s.ctx(), r))
}

func (s *scene) policy() engine.Policy {
	s.t.Helper()
	p, err := s.Minter().Policy(s.ctx())
	s.must("read policy", err)
	return p
}

// wish is what the broker would ask for, decided on the rules of now.
func (s *scene) wish(roles ...string) engine.Mint {
	s.t.Helper()
	p := s.policy()
	rules := make([]engine.Rule, 0, len(roles))
	for _, role := range roles {
		rules = append(rules, engine.Rule{ID: s.rules[role], Version: 1})
	}
	return engine.Mint{
		Subject: engine.Subject{
			Issuer: s.say.Issuer, Identity: s.identity, Subject: s.identity, SID: "sid-" + s.name, TokenKey: "token-" + s.name,
			IssuedAt: time.Now().Unix(), Expires: time.Now().Add(time.Hour).Unix(), SourceIP: "192.0.2.1", Request: "request-" + s.name,
		},
		ID: engine.NewGrantID(), Target: s.say.Target, Secret: engine.NewSecret(), Roles: slices.Sorted(slices.Values(roles)), Rules: rules,
		Lifetime: lifetime, PolicyVersion: p.Version, PolicyAsOf: p.AsOf, Claims: map[string]any{"groups": []string{"x"}},
		Exposed: map[string]any{}, Replay: "allow", Reason: "TICKET-1",
	}
}

// ask mints, and decides anew as long as other cases change the rules.
func (s *scene) ask(m engine.Mint) (engine.Credential, error) {
	for deadline := time.Now().Add(patience); ; {
		c, err := s.Minter().Mint(s.ctx(), m)
		if !errors.Is(err, engine.ErrStalePolicy) || time.Now().After(deadline) {
			return c, err
		}
		p, err := s.Minter().Policy(s.ctx())
		if err != nil {
			return c, err
		}
		m.PolicyVersion, m.PolicyAsOf = p.Version, p.AsOf
	}
}

func (s *scene) mint(roles ...string) engine.Credential {
	s.t.Helper()
	c, err := s.ask(s.wish(roles...))
	s.must("mint", err)
	return c
}

// refused wants a mint to be refused with a word, and the refusal to be on record.
func (s *scene) refused(word string, m engine.Mint) {
	s.t.Helper()
	_, err := s.ask(m)
	var refusal *engine.RefusedError
	if !errors.As(err, &refusal) || !errors.Is(err, engine.ErrRefused) {
		s.t.Errorf("mint gave %v, want the refusal %s", err, word)
		return
	}
	if refusal.Reason != word {
		s.t.Errorf("refused as %s, want %s", refusal.Reason, word)
	}
	want := Event{Grant: m.ID, Event: "mint", Outcome: "refused", Reason: word}
	if !slices.Contains(s.events(m.Identity), want) {
		s.t.Errorf("no audit row %+v", want)
	}
	if s.exists(engine.LoginName(m.ID)) {
		s.t.Errorf("refused as %s, yet the login exists", word)
	}
}

func (s *scene) login(c engine.Credential) Session {
	s.t.Helper()
	session, err := s.Login(s.ctx(), c.Login, c.Password.Reveal())
	s.must("log in", err)
	s.t.Cleanup(session.Close)
	return session
}

// locked wants nobody to get in with a credential any more.
func (s *scene) locked(c engine.Credential) {
	s.t.Helper()
	if session, err := s.Login(s.ctx(), c.Login, c.Password.Reveal()); err == nil {
		session.Close()
		s.t.Errorf("%s can still log in", c.Login)
	}
}

func (s *scene) row(grant string) Row {
	s.t.Helper()
	row, err := s.Row(s.ctx(), grant)
	s.must("read the ledger", err)
	return row
}

// state wants a grant to be in a state, for a cause.
func (s *scene) state(grant, state, cause string) {
	s.t.Helper()
	row := s.row(grant)
	if diff := cmp.Diff([]string{state, cause}, []string{row.State, row.Cause}); diff != "" {
		s.t.Errorf("state and cause of the grant (-want +got):\n%s", diff)
	}
}

func (s *scene) events(identity string) []Event {
	s.t.Helper()
	events, err := s.Events(s.ctx(), identity)
	s.must("read the audit trail", err)
	return events
}

func (s *scene) exists(login string) bool {
	s.t.Helper()
	exists, err := s.Exists(s.ctx(), login)
	s.must("look for the login", err)
	return exists
}

func (s *scene) rights(account string) []string {
	s.t.Helper()
	rights, err := s.Rights(s.ctx(), account)
	s.must("read rights", err)
	return rights
}
