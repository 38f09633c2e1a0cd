package postgres_test

import (
	"context"
	"testing"
	"time"

	"dbsts/shared/engine"
)

// gone wants a grant's login to be ended: no session, no login by the password under any name, the row closed.
func (s *server) gone(t *testing.T, c engine.Credential, names ...string) {
	t.Helper()
	s.became(t, c, "revoked", "")
	for _, name := range append(names, c.Login) {
		if _, err := s.Login(t.Context(), name, c.Password.Reveal()); err == nil {
			t.Errorf("%s can still log in", name)
		}
		if there, err := s.Exists(t.Context(), name); err != nil || there {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

func TestALoginThatSomebodyRenamedIsEndedAllTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.hurried(t)
		renamed := s.mint(t, "app_read")
		session := s.holding(t, renamed.Login, renamed.Password.Reveal(), "SELECT 1")
		s.must(t, "ALTER ROLE "+renamed.Login+" RENAME TO bobby")
		s.expire(t, renamed)
		s.hurried(t)
		if err := session.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Error("the session of the renamed login lives")
		}
		s.gone(t, renamed, "bobby")
	})
}

// Without a row only the marker and, since PostgreSQL 16, the creator tell that a role is ours.
func TestARenamedLoginWithoutARowIsFoundByItsMaker(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		if !s.modern() {
			return
		}
		s.hurried(t)
		c := s.mint(t, "app_read")
		s.must(t, "ALTER ROLE "+c.Login+" RENAME TO carol; DELETE FROM dbsts.grants WHERE id = '"+c.Grant+"'")
		s.hurried(t)
		s.gone(t, c, "carol")
	})
}

func TestALedgerThatPointsElsewhereTouchesNobody(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.hurried(t)
		c, clean := s.mint(t, "app_read"), s.mint(t, "app_read")
		s.must(t, "CREATE ROLE dbsts_bystander LOGIN; UPDATE dbsts.grants SET role_oid = 'dbsts_bystander'::regrole WHERE id = '"+c.Grant+"'")
		s.expire(t, c, clean)
		s.hurried(t)
		s.became(t, c, "revoking", "foreign")
		s.gone(t, clean)
		if there, err := s.Exists(t.Context(), "dbsts_bystander"); err != nil || !there {
			t.Errorf("the bystander is gone: %v", err)
		}
		s.must(t, "UPDATE dbsts.grants SET role_oid = to_regrole(login::text) WHERE id = '"+c.Grant+"'; DROP ROLE dbsts_bystander")
		s.hurried(t)
		s.gone(t, c)
	})
}

func TestALoginMadeASuperuserDelaysNobodyElsesEnd(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.hurried(t)
		king, clean := s.mint(t, "app_read"), s.mint(t, "app_read")
		s.must(t, "ALTER ROLE "+king.Login+" SUPERUSER")
		s.holding(t, king.Login, king.Password.Reveal(), "SELECT 1")
		s.expire(t, king, clean)
		s.hurried(t)
		s.became(t, king, "revoking", "rights")
		s.gone(t, clean)
		s.must(t, "ALTER ROLE "+king.Login+" NOSUPERUSER")
		s.hurried(t)
		s.gone(t, king)
	})
}

// The emergency stop must work in just the case it is for: somebody holds the exchange login and keeps the gate open.
func TestNobodyHoldsOffAChangeOfPolicy(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		login := s.Logins().Exchange
		password, err := login.Password()
		if err != nil {
			t.Fatal(err)
		}
		s.holding(t, login.User, password.Reveal(), "BEGIN",
			"SELECT dbsts.policy(jsonb_build_object('server', '"+s.Address()+"'))")
		for _, statement := range []string{
			"UPDATE dbsts.policy SET frozen = frozen",
			"INSERT INTO dbsts.epochs VALUES ('https://held.test', '*', '*', 'epoch', 'test') ON CONFLICT DO NOTHING",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := s.exec(ctx, statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
			cancel()
		}
	})
}

// A broker's login may set defaults for itself. They must neither bend our sessions nor outlive an install.
func TestABrokersLoginCannotSpoilItsOwnSessions(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		s.install(t, s.conf())
		s.govern(t)
		for _, setting := range []string{"default_transaction_isolation = 'serializable'", "default_transaction_read_only = on"} {
			s.must(t, "ALTER ROLE dbsts_exchange SET "+setting+"; ALTER ROLE dbsts_sweep IN DATABASE shop SET "+setting)
		}
		s.works(t)
		s.install(t, s.conf())
		left := one[int](t, s, "SELECT count(*) FROM pg_db_role_setting g JOIN pg_roles r ON r.oid = g.setrole WHERE r.rolname ~ '^dbsts_'")
		if left != 0 {
			t.Errorf("%d settings outlived an install", left)
		}
	})
}
