package enginetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dbsts/shared/engine"
	"dbsts/shared/logging"
)

// crowd is how many callers act at once.
const crowd = 16

// same compares credentials; what is left of the lifetime goes down.
func same(a, b engine.Credential) string {
	return cmp.Diff(a, b, cmpopts.IgnoreFields(engine.Credential{}, "ExpiresIn"),
		cmp.Comparer(func(a, b logging.Secret) bool { return a.Reveal() == b.Reveal() }))
}

// minted counts how often an identity's mints are on record as done.
func (s *scene) minted() int {
	s.t.Helper()
	n := 0
	for _, e := range s.events(s.identity) {
		if e.Event == "mint" && e.Outcome == "done" {
			n++
		}
	}
	return n
}

func sameIDTwice(s *scene) {
	m := s.wish(s.role("inherit", Read))
	first, err := s.ask(m)
	s.must("mint", err)
	second, err := s.ask(m)
	s.must("mint again", err)
	if diff := same(first, second); diff != "" {
		s.t.Errorf("the second credential differs (-first +second):\n%s", diff)
	}
	if n := s.minted(); n != 1 {
		s.t.Errorf("%d mints on record, want 1", n)
	}
	s.login(second)
}

func sameIDAtOnce(s *scene) {
	role := s.role("inherit", Read)
	for range 4 {
		before := s.minted()
		m := s.wish(role)
		credentials := s.atOnce(func(int) (engine.Credential, error) { return s.ask(m) })
		for _, c := range credentials {
			if diff := same(credentials[0], c); diff != "" {
				s.t.Errorf("credentials differ:\n%s", diff)
			}
		}
		if n := s.minted() - before; n != 1 {
			s.t.Errorf("%d mints on record, want 1", n)
		}
		s.login(credentials[0])
	}
}

// atOnce lets a crowd do something and wants every one to succeed.
func (s *scene) atOnce(do func(n int) (engine.Credential, error)) []engine.Credential {
	s.t.Helper()
	credentials := make([]engine.Credential, crowd)
	errs := make([]error, crowd)
	var group sync.WaitGroup
	for n := range crowd {
		group.Go(func() { credentials[n], errs[n] = do(n) })
	}
	group.Wait()
	s.must("one of a crowd", errors.Join(errs...))
	return credentials
}

func idNeverTwice(s *scene) {
	m := s.wish(s.role("inherit", Read))
	c, err := s.ask(m)
	s.must("mint", err)

	other := m
	other.Secret = engine.NewSecret()
	if _, err = s.ask(other); err == nil {
		s.t.Error("an id that lives was minted with another secret")
	}
	s.login(c) // the first secret still holds

	s.expire(c)
	s.cut(c.Grant)
	if _, err = s.ask(m); err == nil {
		s.t.Error("an ended grant was minted again")
	}
	s.locked(c)
	s.state(c.Grant, "revoked", "expired")
}

func stalePolicy(s *scene) {
	role := s.role("inherit", Read)
	changes := map[string]func(){
		"a rule changed":    func() { s.putRule(Rule{ID: "other-" + s.name, Roles: []string{role}}) },
		"a role changed":    func() { s.must("amend", s.Amend(s.ctx(), role, true, 1800)) },
		"a role was added":  func() { s.role("inherit", Write) },
		"a rule was denied": func() { s.putRule(Rule{ID: "other-" + s.name, Roles: []string{role}, Deny: true}) },
	}
	for name, change := range changes {
		m := s.wish(role)
		change()
		if _, err := s.Minter().Mint(s.ctx(), m); !errors.Is(err, engine.ErrStalePolicy) {
			s.t.Errorf("%s: mint gave %v, want stale", name, err)
		}
		if s.exists(engine.LoginName(m.ID)) {
			s.t.Errorf("%s: the login exists", name)
		}
	}
	if n := len(s.events(s.identity)); n != 0 {
		s.t.Errorf("%d rows on record, want none: nothing happened", n)
	}
	if s.policy().Version <= 1 {
		s.t.Error("the version does not rise")
	}
}

func staleRefusal(s *scene) {
	role := s.role("inherit", Read)
	p, m := s.policy(), s.wish(role)
	s.putRule(Rule{ID: "other-" + s.name, Roles: []string{role}})
	err := s.Minter().Refuse(s.ctx(), engine.Refusal{
		Subject: m.Subject, Target: m.Target, Reason: "no_rule", PolicyVersion: p.Version, PolicyAsOf: p.AsOf,
	})
	if !errors.Is(err, engine.ErrStalePolicy) {
		s.t.Errorf("refuse gave %v, want stale", err)
	}
	if n := len(s.events(s.identity)); n != 0 {
		s.t.Errorf("%d rows on record, want none", n)
	}
}

func staleByTime(s *scene) {
	role := s.role("inherit", Read)
	const soon = 700 * time.Millisecond
	for name, rule := range map[string]Rule{
		"begins": {ID: "begins-" + s.name, From: time.Now().Add(soon)},
		"ends":   {ID: "ends-" + s.name, Until: time.Now().Add(soon)},
	} {
		rule.Roles = []string{role}
		s.putRule(rule)
		m := s.wish(role)
		_, err := s.Minter().Mint(s.ctx(), m)
		for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); time.Sleep(glance) {
			m.ID = engine.NewGrantID()
			_, err = s.Minter().Mint(s.ctx(), m)
		}
		if !errors.Is(err, engine.ErrStalePolicy) {
			s.t.Errorf("%s: mint gave %v, want stale", name, err)
		}
	}
}

func spoiltRoles(s *scene) {
	words := map[Flaw]string{Superuser: "role_unsafe", CanLogin: "role_unsafe", WritesAll: "role_unsafe", Replaced: "role_replaced"}
	for flaw, word := range words {
		role := s.role("inherit", Read)
		s.mint(role)
		s.must("spoil", s.Spoil(s.ctx(), role, flaw))
		s.refused(word, s.wish(role))
	}
}

func replayOnce(s *scene) {
	role := s.role("inherit", Read)
	wishes := make([]engine.Mint, crowd)
	for n := range wishes {
		wishes[n] = s.wish(role)
		wishes[n].Replay = "reject"
	}
	var once []engine.Credential
	var lock sync.Mutex
	s.atOnce(func(n int) (engine.Credential, error) {
		c, err := s.ask(wishes[n])
		if refusal, ok := errors.AsType[*engine.RefusedError](err); ok && refusal.Reason == "replayed" {
			return c, nil
		}
		lock.Lock()
		defer lock.Unlock()
		once = append(once, c)
		return c, err
	})
	if len(once) != 1 || s.minted() != 1 {
		s.t.Fatalf("%d logins for one token, %d on record, want 1", len(once), s.minted())
	}
	s.login(once[0])
	again := s.wish(role)
	again.Replay = "reject"
	s.refused("replayed", again)
}

func replayLostAnswer(s *scene) {
	m := s.wish(s.role("inherit", Read))
	m.Replay = "reject"
	refused := m
	refused.ID, refused.Lifetime = engine.NewGrantID(), 100_000
	s.refused("lifetime_exceeded", refused) // costs nothing
	first, err := s.ask(m)
	s.must("mint", err)
	second, err := s.ask(m)
	s.must("mint again, because the answer was lost", err)
	if diff := same(first, second); diff != "" {
		s.t.Error(diff)
	}
}

func endsWithToken(s *scene) {
	m := s.wish(s.role("inherit", Read))
	m.EndWithToken, m.Expires = true, time.Now().Add(time.Minute).Unix()
	c, err := s.ask(m)
	s.must("mint", err)
	if c.ExpiresAt.Unix() != m.Expires || c.ExpiresIn > 60 {
		s.t.Errorf("the login ends at %s, in %d s; the token at %s", c.ExpiresAt, c.ExpiresIn, time.Unix(m.Expires, 0))
	}
	m = s.wish(m.Roles...)
	m.EndWithToken, m.Expires = true, time.Now().Add(10*time.Second).Unix()
	s.refused("lifetime_too_short", m)
}

func refusalOnRecord(s *scene) {
	m := s.wish(s.role("inherit", Read))
	for _, r := range []engine.Refusal{
		{Subject: m.Subject, Target: m.Target, Reason: "token_expired"}, // before any rule was read
		{Subject: m.Subject, Target: "no such target", Reason: "no_rule", Detail: map[string]any{"asked": []string{"x"}}},
	} {
		s.must("refuse", s.Minter().Refuse(s.ctx(), r))
	}
	want := []Event{{Event: "refuse", Outcome: "refused", Reason: "token_expired"}, {Event: "refuse", Outcome: "refused", Reason: "no_rule"}}
	if diff := cmp.Diff(want, s.events(s.identity)); diff != "" {
		s.t.Errorf("on record (-want +got):\n%s", diff)
	}
}

func lifeOnRecord(s *scene) {
	c := s.mint(s.role("inherit", Read))
	session := s.login(c)
	s.expire(c)
	s.cut(c.Grant)
	session.Close()
	want := []Event{
		{c.Grant, "mint", "done", ""},
		{c.Grant, "end", "done", "expired"},
		{c.Grant, "block", "done", "expired"},
		{c.Grant, "kill", "done", "expired"},
		{c.Grant, "drop", "done", "expired"},
	}
	if diff := cmp.Diff(want, slices.Compact(s.events(s.identity))); diff != "" {
		s.t.Errorf("on record (-want +got):\n%s", diff)
	}
}
