package enginetest

import (
	"errors"
	"slices"
	"time"

	"dbsts/shared/engine"
)

// expire lets grants run out, and waits until they are known to be due. It leases everything that is due, for a moment.
func (s *scene) expire(credentials ...engine.Credential) {
	s.t.Helper()
	for _, c := range credentials {
		s.must("backdate", s.Backdate(s.ctx(), c.Grant, time.Hour))
	}
	_, err := s.Ender().Lease(s.ctx(), 1000, 0)
	s.must("lease", err)
	for _, c := range credentials {
		s.state(c.Grant, "revoking", "expired")
	}
}

func ids(credentials ...engine.Credential) []string {
	list := make([]string, 0, len(credentials))
	for _, c := range credentials {
		list = append(list, c.Grant)
	}
	return list
}

// silence looks until no session is left.
func (s *scene) silence(ids ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		look, err := s.Ender().Kill(s.ctx(), ids, nil)
		s.must("kill", err)
		if len(look.Busy) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d sessions do not die", look.Sessions)
		}
	}
}

// cut blocks, silences and drops what is already due.
func (s *scene) cut(ids ...string) {
	s.t.Helper()
	s.must("block", s.Ender().Block(s.ctx(), ids))
	s.silence(ids...)
	s.must("drop", s.Ender().Drop(s.ctx(), ids))
}

// stuck wants an error that says why a login cannot be ended yet.
func (s *scene) stuck(cause string, err error) {
	s.t.Helper()
	var stuck *engine.StuckError
	if !errors.As(err, &stuck) || stuck.Cause != cause {
		s.t.Fatalf("got %v, want stuck: %s", err, cause)
	}
}

func noSessionSurvives(s *scene) {
	roles := map[string]string{"inherit": s.role("inherit", Read), "set": s.role("set", Read, Write, Create)}
	var credentials []engine.Credential
	var sessions []Session
	var ended []chan error
	for _, o := range s.say.Occupations {
		c := s.mint(roles[o.Activation])
		session := s.login(c)
		for _, statement := range s.spoken(o.Begin, roles[o.Activation]) {
			_ = session.Exec(s.ctx(), statement)
		}
		end := make(chan error, 1)
		if o.Last != "" {
			go func() { end <- session.Exec(s.ctx(), o.Last) }()
		} else {
			end <- nil
		}
		credentials, sessions, ended = append(credentials, c), append(sessions, session), append(ended, end)
	}
	time.Sleep(100 * time.Millisecond) // let the busy ones become busy

	s.expire(credentials...)
	s.must("block", s.Ender().Block(s.ctx(), ids(credentials...)))
	for _, c := range credentials {
		s.locked(c)
	}
	first, err := s.Ender().Kill(s.ctx(), ids(credentials...), nil)
	s.must("kill", err)
	if len(first.Busy) != len(credentials) || first.Sessions != len(credentials) {
		s.t.Errorf("the first look saw %d sessions of %d grants, want %d", first.Sessions, len(first.Busy), len(credentials))
	}
	s.silence(ids(credentials...)...)
	for n, o := range s.say.Occupations {
		select {
		case err := <-ended[n]:
			if o.Last != "" && err == nil {
				s.t.Errorf("%s: the last statement came to an end by itself", o.Name)
			}
		case <-time.After(patience):
			s.t.Errorf("%s: the statement goes on", o.Name)
			continue
		}
		if err := sessions[n].Exec(s.ctx(), s.say.Self); err == nil {
			s.t.Errorf("%s: the session goes on", o.Name)
		}
		if row := s.row(credentials[n].Grant); row.Sessions != 1 {
			s.t.Errorf("%s: the ledger has %d sessions, want 1", o.Name, row.Sessions)
		}
	}
	s.must("drop", s.Ender().Drop(s.ctx(), ids(credentials...)))
	for _, c := range credentials {
		s.locked(c)
		s.state(c.Grant, "revoked", "expired")
		if s.exists(c.Login) {
			s.t.Errorf("%s still exists", c.Login)
		}
	}
}

func stepsRepeat(s *scene) {
	role := s.role("inherit", Read)
	a, b := s.mint(role), s.mint(role)
	unknown := engine.NewGrantID()
	all := []string{a.Grant, b.Grant, unknown}
	s.expire(a, b)
	for range 2 {
		s.must("block", s.Ender().Block(s.ctx(), all))
	}
	for range 2 {
		_, err := s.Ender().Kill(s.ctx(), all, nil)
		s.must("kill", err)
	}
	s.must("postpone", s.Ender().Postpone(s.ctx(), a.Grant, "sessions"))
	for range 3 { // blocked, then dropped
		s.must("block", s.Ender().Block(s.ctx(), all))
		s.must("drop", s.Ender().Drop(s.ctx(), all))
		look, err := s.Ender().Kill(s.ctx(), all, nil)
		s.must("kill", err)
		if look.Sessions != 0 || len(look.Busy) != 0 {
			s.t.Errorf("a look for nobody saw %+v", look)
		}
		s.must("postpone", s.Ender().Postpone(s.ctx(), a.Grant, "owned"))
		s.must("postpone", s.Ender().Postpone(s.ctx(), unknown, "owned"))
		s.state(a.Grant, "revoked", "expired")
	}
	s.must("block nothing", s.Ender().Block(s.ctx(), nil))
	s.must("drop nothing", s.Ender().Drop(s.ctx(), nil))
	if s.exists(a.Login) || s.exists(b.Login) {
		s.t.Error("a login is left")
	}
}

// spoken puts a role's name into statements.
func (s *scene) spoken(statements []string, role string) []string {
	spoken := slices.Clone(statements)
	for n, statement := range spoken {
		if statement == "%s" {
			spoken[n] = s.say.Become(role)
		}
	}
	return spoken
}
