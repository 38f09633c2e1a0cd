package enginetest

import (
	"errors"
	"time"

	"dbsts/shared/engine"
)

// claimant is a session of a login that exposes claims.
func (s *scene) claimant(role string, exposed map[string]any) (engine.Credential, Session) {
	s.t.Helper()
	m := s.wish(role)
	m.Exposed = exposed
	c, err := s.ask(m)
	s.must("mint", err)
	return c, s.login(c)
}

func ownClaims(s *scene) {
	role := s.role("inherit", Read)
	_, acme := s.claimant(role, map[string]any{"tenant": `ac"me`, "groups": []string{"a", "b"}, "level": 7})
	_, globex := s.claimant(role, map[string]any{"tenant": "globex"})
	s.answers(acme, s.say.Claim("tenant"), `ac"me`)
	s.answers(acme, s.say.Claim("groups"), `["a", "b"]`)
	s.answers(acme, s.say.Claim("level"), "7")
	s.answers(acme, s.say.Claim("none"), "")
	s.answers(globex, s.say.Claim("tenant"), "globex")
	s.answers(globex, s.say.Claim("groups"), "")
}

func forgedClaims(s *scene) {
	role := s.role("set", Read, Create)
	victim, _ := s.claimant(role, map[string]any{"tenant": "globex"})
	_, session := s.claimant(role, map[string]any{"tenant": "acme"})
	statements := append(s.spoken(s.say.Forgeries, role), s.say.Become(role), s.say.Become(victim.Login))
	for _, statement := range statements {
		_ = session.Exec(s.ctx(), statement)
		s.answers(session, s.say.Claim("tenant"), "acme")
	}
}

func expiredClaims(s *scene) {
	role := s.role("inherit", Read)
	c, session := s.claimant(role, map[string]any{"tenant": "acme"})
	s.answers(session, s.say.Claim("tenant"), "acme")
	s.must("backdate", s.Backdate(s.ctx(), c.Grant, time.Hour))
	s.answers(session, s.say.Claim("tenant"), "")
}

func surrenderEnds(s *scene) {
	role := s.role("inherit", Read)
	m := s.wish(role)
	c, err := s.ask(m)
	s.must("mint", err)
	session, other := s.login(c), s.mint(role)
	possession := engine.Possession{Grant: m.ID, Secret: m.Secret}
	for range 2 {
		s.must("surrender", s.Revoker().Surrender(s.ctx(), possession))
		s.locked(c)
		s.state(c.Grant, "revoking", "revoked")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		look, lookErr := s.Revoker().Silence(s.ctx(), possession, nil)
		s.must("silence", lookErr)
		if len(look.Busy) == 0 {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the session does not end")
		}
	}
	s.deny(session, s.say.Self)
	s.login(other)
	s.cut(c.Grant)
	s.must("surrender what is gone", s.Revoker().Surrender(s.ctx(), possession))
	look, err := s.Revoker().Silence(s.ctx(), possession, nil)
	if err != nil || look.Sessions != 0 || len(look.Busy) != 0 {
		s.t.Errorf("a look for what is gone saw %+v, %v", look, err)
	}
	s.state(c.Grant, "revoked", "revoked")
}

func surrenderNeedsSecret(s *scene) {
	m := s.wish(s.role("inherit", Read))
	c, err := s.ask(m)
	s.must("mint", err)
	session := s.login(c)
	for _, p := range []engine.Possession{
		{Grant: m.ID, Secret: engine.NewSecret()},
		{Grant: m.ID},
		{Grant: engine.NewGrantID(), Secret: m.Secret},
		{Grant: "", Secret: m.Secret},
	} {
		if err = s.Revoker().Surrender(s.ctx(), p); !errors.Is(err, engine.ErrUnknownGrant) {
			s.t.Errorf("surrender gave %v, want unknown grant", err)
		}
		if _, err = s.Revoker().Silence(s.ctx(), p, nil); !errors.Is(err, engine.ErrUnknownGrant) {
			s.t.Errorf("silence gave %v, want unknown grant", err)
		}
	}
	// A look alone ends nothing: first surrender, then look.
	look, err := s.Revoker().Silence(s.ctx(), engine.Possession{Grant: m.ID, Secret: m.Secret}, nil)
	if err != nil || look.Sessions != 0 {
		s.t.Errorf("a look at a live grant gave %+v, %v", look, err)
	}
	s.allow(session, s.say.Read)
	s.state(c.Grant, "active", "")
}
