package enginetest

import (
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/engine"
)

// union is all rights of the lists, each once, in order.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// may wants a login to have the rights of some accounts and of PUBLIC, and not one more.
func (s *scene) may(c engine.Credential, entry []string, accounts ...string) {
	s.t.Helper()
	lists := [][]string{entry, s.rights("")}
	for _, account := range accounts {
		lists = append(lists, s.rights(account))
	}
	if diff := cmp.Diff(union(lists...), union(s.rights(c.Login))); diff != "" {
		s.t.Errorf("rights of the login (-want +got):\n%s", diff)
	}
}

func exactRights(s *scene) {
	reader, writer := s.role("inherit", Read), s.role("inherit", Read, Write)
	s.may(s.mint(reader), nil, reader)
	s.may(s.mint(writer), nil, writer)
	s.may(s.mint(s.role("set", Read, Write, Create)), s.say.Entry)
	if len(s.say.Entry) == 0 || len(s.rights(reader)) <= len(s.rights("")) {
		s.t.Error("the fixture's Rights see nothing")
	}
}

func severalRoles(s *scene) {
	reader, writer := s.role("inherit", Read), s.role("inherit", Write)
	c := s.mint(writer, reader)
	s.may(c, nil, reader, writer)
	if diff := cmp.Diff([]string{reader, writer}, c.Roles); diff != "" {
		s.t.Errorf("roles of the credential (-want +got):\n%s", diff)
	}
	session := s.login(c)
	s.allow(session, s.say.Read)
	s.allow(session, s.say.Write)
	s.deny(session, s.say.Make("t_"+s.name))
}

func (s *scene) allow(session Session, statement string) {
	s.t.Helper()
	if err := session.Exec(s.ctx(), statement); err != nil {
		s.t.Errorf("%s: %v", statement, err)
	}
}

func (s *scene) deny(session Session, statement string) {
	s.t.Helper()
	if err := session.Exec(s.ctx(), statement); err == nil {
		s.t.Errorf("%s is allowed", statement)
	}
}

// answers wants the answer of a query.
func (s *scene) answers(session Session, query, want string) {
	s.t.Helper()
	got, err := session.Query(s.ctx(), query)
	if err != nil || got != want {
		s.t.Errorf("%s answers %q, %v, want %q", query, got, err, want)
	}
}

func activationInherit(s *scene) {
	role := s.role("inherit", Read)
	c := s.mint(role)
	if c.SessionRole != "" || c.Login != engine.LoginName(c.Grant) || c.ExpiresIn < lifetime-patienceSeconds || c.ExpiresIn > lifetime {
		s.t.Errorf("credential %+v", c)
	}
	session := s.login(c)
	s.allow(session, s.say.Read)
	s.deny(session, s.say.Write)
	s.answers(session, s.say.Self, c.Login)
	if s.say.SwitchesAnyway {
		s.allow(session, s.say.Become(role))
	} else {
		s.deny(session, s.say.Become(role))
	}
}

const patienceSeconds = 20

func activationSet(s *scene) {
	role := s.role("set", Read, Create)
	c := s.mint(role)
	if c.SessionRole != role {
		s.t.Errorf("session role is %q, want %q", c.SessionRole, role)
	}
	session := s.login(c)
	table := "made_" + s.name
	s.deny(session, s.say.Read)
	s.deny(session, s.say.Make(table))
	s.allow(session, s.say.Become(role))
	s.allow(session, s.say.Read)
	s.deny(session, s.say.Write)
	s.allow(session, s.say.Make(table))
	s.answers(session, s.say.Maker(table), role)
	s.answers(session, s.say.Self, c.Login)

	session.Close()
	s.expire(c)
	s.cut(c.Grant) // nothing of it belongs to the login
	s.state(c.Grant, "revoked", "expired")
}

func hostileNames(s *scene) {
	names := []string{
		`we"ird` + s.name, `Üñí` + s.name, `it's;DROP/**/TABLE/**/x;--` + s.name, `back\slash%I` + s.name, `$1{{NN}}` + s.name,
		(s.name + strings.Repeat("x", 63))[:63], (s.name + "ü" + strings.Repeat("é", 63))[:62],
	}
	for _, name := range names {
		role := s.roleNamed(name, "inherit", Read)
		c := s.mint(role)
		s.may(c, nil, role)
		s.allow(s.login(c), s.say.Read)
	}
	c := s.mint(names...)
	s.may(c, nil, names...)
	s.expire(c)
	s.must("block", s.Ender().Block(s.ctx(), ids(c)))
	s.must("postpone", s.Ender().Postpone(s.ctx(), c.Grant, "owned")) // takes the roles away
	s.may(c, nil)
	s.cut(c.Grant)

	set := s.roleNamed(`set"'\ü`+s.name, "set", Read)
	c = s.mint(set)
	session := s.login(c)
	s.allow(session, s.say.Become(set))
	s.allow(session, s.say.Read)
}
