package enginetest

import (
	"errors"
	"sync"
	"time"

	"dbsts/shared/engine"
)

func (s *scene) reconcile() engine.Findings {
	s.t.Helper()
	found, err := s.Ender().Reconcile(s.ctx())
	s.must("reconcile", err)
	return found
}

func epochs(s *scene) {
	role := s.role("inherit", Read)
	iat := time.Now().Add(-time.Minute).Truncate(time.Second)
	minted := func(change func(*engine.Mint)) (engine.Credential, error) {
		m := s.wish(role)
		m.IssuedAt = iat.Unix()
		change(&m)
		return s.ask(m)
	}
	ours := func(m *engine.Mint) {}
	grants := map[string]engine.Credential{}
	for name, change := range map[string]func(*engine.Mint){
		"same subject":    ours,
		"newer":           func(m *engine.Mint) { m.IssuedAt++ },
		"another subject": func(m *engine.Mint) { m.Subject.Subject = "other-" + s.name },
		"same session":    func(m *engine.Mint) { m.Subject.Subject = "third-" + s.name; m.SID = "ended-" + s.name },
	} {
		c, err := minted(change)
		s.must("mint", err)
		grants[name] = c
	}
	for _, e := range []Epoch{{s.say.Issuer, "sub", s.identity, iat}, {s.say.Issuer, "sid", "ended-" + s.name, iat}} {
		s.must("set epoch", s.SetEpoch(s.ctx(), e))
	}

	m := s.wish(role)
	m.IssuedAt = iat.Unix()
	s.refused("epoch_overtaken", m)
	m.IssuedAt--
	s.refused("epoch_overtaken", m)
	m.IssuedAt = iat.Unix() + 1
	_, err := s.ask(m)
	s.must("mint with a newer token", err)

	if found := s.reconcile(); found.Overtaken != 2 {
		s.t.Errorf("found %+v, want 2 overtaken", found)
	}
	s.state(grants["same subject"].Grant, "revoking", "epoch")
	s.state(grants["same session"].Grant, "revoking", "epoch")
	s.state(grants["newer"].Grant, "active", "")
	s.state(grants["another subject"].Grant, "active", "")
	s.leased(grants["same subject"].Grant)
	if found := s.reconcile(); found.Overtaken != 0 || found.Due < 2 {
		s.t.Errorf("found %+v the second time, want none overtaken and 2 due", found)
	}

	// An epoch for all issuers ends everything.
	s.must("set epoch", s.SetEpoch(s.ctx(), Epoch{"*", "*", "*", iat}))
	_, err = minted(func(m *engine.Mint) { m.Subject.Subject = "fourth-" + s.name })
	if !errors.Is(err, engine.ErrRefused) {
		s.t.Errorf("mint under an epoch for all gave %v", err)
	}
	s.reconcile()
	s.state(grants["another subject"].Grant, "revoking", "epoch")
	s.state(grants["newer"].Grant, "active", "")
	s.sweep()
	s.locked(grants["another subject"])
}

func orphans(s *scene) {
	role := s.role("inherit", Read)
	c, live := s.mint(role), s.mint(role)
	session := s.login(c)
	s.must("forget", s.Forget(s.ctx(), c.Grant))
	if found := s.reconcile(); found.Orphans != 1 || found.Due < 1 {
		s.t.Errorf("found %+v, want 1 orphan", found)
	}
	s.state(c.Grant, "revoking", "orphan")
	if found := s.reconcile(); found.Orphans != 0 {
		s.t.Errorf("found %+v the second time", found)
	}
	s.leased(c.Grant)
	s.cut(c.Grant)
	s.deny(session, s.say.Self)
	s.locked(c)
	s.state(c.Grant, "revoked", "orphan")
	s.state(live.Grant, "active", "")
}

func vanished(s *scene) {
	role := s.role("inherit", Read)
	active, due := s.mint(role), s.mint(role)
	session := s.login(active)
	s.expire(due)
	s.must("remove", s.Remove(s.ctx(), active.Login))
	s.must("remove", s.Remove(s.ctx(), due.Login))
	found := s.reconcile()
	if found.Vanished != 2 || found.Orphans != 0 {
		s.t.Errorf("found %+v, want 2 vanished", found)
	}
	if found.Ghosts != 1 {
		s.t.Errorf("found %+v, want the session of the removed login", found)
	}
	s.state(active.Grant, "revoked", "vanished")
	s.state(due.Grant, "revoked", "expired")
	for deadline := time.Now().Add(patience); session.Exec(s.ctx(), s.say.Self) == nil; time.Sleep(glance) {
		if time.Now().After(deadline) {
			s.t.Fatal("the session of a removed login lives on")
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) { // a session that was told to end may take a moment
		found = s.reconcile()
		if found.Vanished != 0 || found.Ghosts != 0 && time.Now().After(deadline) {
			s.t.Fatalf("found %+v the second time", found)
		}
		if found.Ghosts == 0 {
			return
		}
	}
}

func strangersLeftAlone(s *scene) {
	planted, err := s.Plant(s.ctx())
	s.must("plant", err)
	if len(planted) < 2 {
		s.t.Fatalf("the fixture planted %v", planted)
	}
	before := map[string][]string{}
	for _, login := range planted {
		before[login] = s.rights(login)
	}
	if found := s.reconcile(); found.Orphans != 0 || found.Vanished != 0 {
		s.t.Errorf("found %+v, want nothing", found)
	}
	s.sweep()
	for _, login := range planted {
		if !s.exists(login) || len(s.rights(login)) != len(before[login]) {
			s.t.Errorf("%s was touched", login)
		}
		s.must("release", s.Release(s.ctx(), login))
		s.must("remove", s.Remove(s.ctx(), login))
	}
}

// mintsWhileSweeping mints one role, and overlapping sets of roles, from a crowd, while half of what they make is ended
// at once by two sweeps that do not know of each other.
func mintsWhileSweeping(s *scene) {
	roles := []string{s.role("inherit", Read), s.role("inherit", Write), s.role("inherit")}
	set := s.role("set", Create)
	wanted := [][]string{roles[:1], roles[:1], roles[:2], roles[1:], {roles[0], roles[2]}, {set}}
	stop := make(chan struct{})
	var sweeps sync.WaitGroup
	for range 2 {
		sweeps.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := s.sweepOnce(); err != nil {
						s.t.Errorf("a sweep beside mints: %v", err)
						return
					}
				}
			}
		})
	}
	defer sweeps.Wait()
	defer close(stop)
	const rounds = 5
	for round := range rounds {
		wishes := make([]engine.Mint, crowd)
		for n := range wishes {
			wishes[n] = s.wish(wanted[(n+round)%len(wanted)]...)
		}
		credentials := s.atOnce(func(n int) (engine.Credential, error) { return s.ask(wishes[n]) })
		for n, c := range credentials {
			if n%2 == 0 {
				s.must("backdate", s.Backdate(s.ctx(), c.Grant, time.Hour))
			}
		}
		session := s.login(credentials[1])
		s.answers(session, s.say.Self, credentials[1].Login)
		session.Close()
	}
}

// sweepOnce is what a sweep does, without the pauses.
func (s *scene) sweepOnce() error {
	ctx := s.t.Context()
	if _, err := s.Ender().Reconcile(ctx); err != nil {
		return err
	}
	leases, err := s.Ender().Lease(ctx, 10, 10*time.Second)
	if err != nil || len(leases) == 0 {
		return err
	}
	due := make([]string, 0, len(leases))
	for _, l := range leases {
		due = append(due, l.Grant)
	}
	if err := s.Ender().Block(ctx, due); err != nil {
		return err
	}
	if _, err := s.Ender().Kill(ctx, due, nil); err != nil {
		return err
	}
	return s.Ender().Drop(ctx, due)
}
