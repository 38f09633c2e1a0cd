package enginetest

import (
	"slices"
	"time"

	"dbsts/shared/engine"
)

func dropNeedsProof(s *scene) {
	role := s.role("inherit", Read)
	alive := s.mint(role)
	session := s.login(alive)
	s.stuck("sessions", s.Ender().Drop(s.ctx(), ids(alive))) // it is not due at all
	s.must("block what is not due", s.Ender().Block(s.ctx(), ids(alive)))
	look, err := s.Ender().Kill(s.ctx(), ids(alive), nil)
	s.must("kill what is not due", err)
	if look.Sessions != 0 {
		s.t.Errorf("%d sessions of a live grant were ended", look.Sessions)
	}
	s.allow(session, s.say.Read)

	open, shut := s.mint(role), s.mint(role)
	busy := s.login(open)
	s.expire(open, shut)
	s.stuck("sessions", s.Ender().Drop(s.ctx(), ids(shut))) // it can still log in
	s.must("block", s.Ender().Block(s.ctx(), ids(open, shut)))
	s.stuck("sessions", s.Ender().Drop(s.ctx(), ids(open, shut)))
	s.state(shut.Grant, "revoking", "expired") // all or none
	s.must("postpone", s.Ender().Postpone(s.ctx(), open.Grant, "sessions"))
	s.state(open.Grant, "revoking", "expired")
	s.may(open, nil)
	s.silence(open.Grant)
	s.deny(busy, s.say.Self)
	s.must("drop", s.Ender().Drop(s.ctx(), ids(open, shut)))
	s.state(open.Grant, "revoked", "expired")
	s.state(alive.Grant, "active", "")
	s.allow(session, s.say.Read)
}

func quarantineOwned(s *scene) {
	s.quarantine("owned", []string{s.say.Own})
}

func quarantinePrepared(s *scene) {
	s.quarantine("prepared", s.say.Stay)
}

// quarantine ends a login that has left something behind which prevents its end.
func (s *scene) quarantine(cause string, leave []string) {
	s.t.Helper()
	role := s.role("inherit", Read)
	c, clean := s.mint(role), s.mint(role)
	session := s.login(c)
	for _, statement := range leave {
		s.allow(session, statement)
	}
	session.Close()
	s.expire(c, clean)
	both := ids(c, clean)
	s.must("block", s.Ender().Block(s.ctx(), both))
	s.silence(both...)
	s.stuck(cause, s.Ender().Drop(s.ctx(), both))
	s.state(clean.Grant, "revoking", "expired") // all or none
	s.must("drop the other", s.Ender().Drop(s.ctx(), ids(clean)))
	s.stuck(cause, s.Ender().Drop(s.ctx(), ids(c)))

	for attempt := range 2 {
		s.must("postpone", s.Ender().Postpone(s.ctx(), c.Grant, cause))
		row := s.row(c.Grant)
		if row.State != "quarantined" || row.LastError != cause {
			s.t.Errorf("the ledger has %+v, want quarantined, %s", row, cause)
		}
		s.locked(c)
		s.may(c, nil) // stripped
		s.notLeased(c.Grant)
		s.must("hurry", s.Hurry(s.ctx(), c.Grant))
		if lease := s.leased(c.Grant); lease.Attempts < attempt+2 || lease.Cause != "expired" {
			s.t.Errorf("lease %+v after %d attempts", lease, attempt+1)
		}
		s.must("block", s.Ender().Block(s.ctx(), ids(c)))
		s.silence(c.Grant)
		s.stuck(cause, s.Ender().Drop(s.ctx(), ids(c)))
	}
	s.must("release", s.Release(s.ctx(), c.Login))
	s.cut(c.Grant)
	s.state(c.Grant, "revoked", "expired")
	if n := slices.Index(s.events(s.identity), Event{c.Grant, "postpone", "quarantined", cause}); n < 0 {
		s.t.Error("the quarantine is not on record")
	}
}

// sweep ends all that is due and can be ended.
func (s *scene) sweep() {
	s.t.Helper()
	leases, err := s.Ender().Lease(s.ctx(), 1000, 0)
	s.must("lease", err)
	due := make([]string, 0, len(leases))
	for _, l := range leases {
		due = append(due, l.Grant)
	}
	s.cut(due...)
}

// leased leases everything that is due, for a moment, and wants one grant to be among it.
func (s *scene) leased(grant string) engine.Lease {
	s.t.Helper()
	leases, err := s.Ender().Lease(s.ctx(), 1000, 0)
	s.must("lease", err)
	n := slices.IndexFunc(leases, func(l engine.Lease) bool { return l.Grant == grant })
	if n < 0 {
		s.t.Fatalf("%s is not leased", grant)
	}
	return leases[n]
}

func (s *scene) notLeased(grant string) {
	s.t.Helper()
	leases, err := s.Ender().Lease(s.ctx(), 1000, 0)
	s.must("lease", err)
	if slices.ContainsFunc(leases, func(l engine.Lease) bool { return l.Grant == grant }) {
		s.t.Errorf("%s is leased", grant)
	}
}

func leaseOnlyDue(s *scene) {
	role := s.role("inherit", Read)
	alive, due := s.mint(role), s.mint(role)
	s.must("backdate", s.Backdate(s.ctx(), alive.Grant, (lifetime-patienceSeconds)*time.Second))
	s.must("backdate", s.Backdate(s.ctx(), due.Grant, lifetime*time.Second))
	s.notLeased(alive.Grant)
	s.state(alive.Grant, "active", "")
	s.state(due.Grant, "revoking", "expired")
	if lease := s.leased(due.Grant); lease.Login != due.Login || lease.Cause != "expired" {
		s.t.Errorf("lease %+v", lease)
	}
	s.cut(due.Grant)
	s.notLeased(due.Grant)
}

func leaseShares(s *scene) {
	role := s.role("inherit", Read)
	const many, hold = 12, time.Second
	s.sweep() // what earlier cases have left
	mine := map[string]bool{}
	for range many {
		c := s.mint(role)
		s.must("backdate", s.Backdate(s.ctx(), c.Grant, time.Hour))
		mine[c.Grant] = true
	}
	taken := map[string]int{}
	begin := time.Now()
	results := make(chan []engine.Lease, 2)
	for range 2 {
		go func() {
			var all []engine.Lease
			for range 4 {
				leases, err := s.Ender().Lease(s.t.Context(), 2, hold)
				if err != nil {
					s.t.Errorf("lease: %v", err)
				}
				all = append(all, leases...)
			}
			results <- all
		}()
	}
	for range 2 {
		for _, l := range <-results {
			taken[l.Grant]++
		}
	}
	if time.Since(begin) < hold {
		for grant, n := range taken {
			if n > 1 {
				s.t.Errorf("%s is leased %d times at once", grant, n)
			}
		}
		if len(taken) < many {
			s.t.Errorf("%d of %d grants are leased", len(taken), many)
		}
	}
	time.Sleep(hold)
	leases, err := s.Ender().Lease(s.ctx(), 1000, 0)
	s.must("lease", err)
	if len(leases) < many {
		s.t.Errorf("%d grants are taken over, want %d", len(leases), many)
	}
	for _, l := range leases {
		if mine[l.Grant] && l.Attempts != 2 {
			s.t.Errorf("lease %+v, want the second attempt", l)
		}
	}
}
