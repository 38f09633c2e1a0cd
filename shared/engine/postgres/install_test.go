package postgres_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"dbsts/shared/config"
	"dbsts/shared/engine"
	"dbsts/shared/engine/postgres"
)

func TestInstallingTwiceChangesNothing(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		first := s.install(t, s.conf())
		if len(first.Applied) != 3 || first.Creators != map[bool]int{true: 64, false: 1}[s.modern()] {
			t.Errorf("installed %+v", first)
		}
		s.govern(t)
		before := s.traces(t)
		second := s.install(t, s.conf())
		first.Applied = []string{}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("the second install differs (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(before, s.traces(t)); diff != "" {
			t.Errorf("the second install left something (-before +after):\n%s", diff)
		}
		s.works(t)
	})
}

func TestTwoInstallsTakeTurns(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		const rounds = 3
		for range rounds {
			var group sync.WaitGroup
			var ids [2]string
			for n := range ids {
				group.Go(func() {
					done, err := s.Install(t.Context())
					if err != nil {
						t.Errorf("install: %v", err)
					}
					ids[n] = done.ID
				})
			}
			group.Wait()
			if ids[0] != ids[1] || ids[0] == "" {
				t.Errorf("two installations: %v", ids)
			}
			s.wipe(t)
		}
	})
}

// An administrator without any right is told each one that he lacks, with a statement that gives it to him. When he has
// run them all, he can install: on a fresh server, and where somebody else has installed before him.
func TestMissingRightsAreNamedAndMended(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		s.mend(t, "first")
		s.govern(t)
		s.works(t)
		s.mend(t, "second")
		s.works(t)
		s.install(t, s.as(t, s.AdminUser, s.AdminPassword)) // the superuser lacks nothing
		s.install(t, s.as(t, "second", "second-password"))
		s.works(t)
	})
}

// mend makes an administrator who may do nothing, and gives him what his installs say that he lacks.
func (s *server) mend(t *testing.T, user string) {
	t.Helper()
	s.must(t, "CREATE ROLE "+user+" LOGIN PASSWORD '"+user+"-password'; GRANT CONNECT ON DATABASE shop TO "+user)
	target := s.as(t, user, user+"-password")
	const rounds = 3 // one for what is missing, one for what that brings to light
	told := map[string]bool{}
	for range rounds {
		before := s.traces(t)
		_, err := postgres.Install(t.Context(), target, s.Config.Targets)
		if err == nil {
			return
		}
		missing, ok := errors.AsType[*postgres.MissingError](err)
		if !ok || !errors.Is(err, engine.ErrMisconfigured) {
			t.Fatalf("install as %s: %v", user, err)
		}
		if diff := cmp.Diff(before, s.traces(t)); diff != "" {
			t.Errorf("a failed install left something (-before +after):\n%s", diff)
		}
		for _, m := range missing.Rights {
			if told[m.Right] {
				t.Fatalf("%s did not mend %s", m.Statement, m.Right)
			}
			if !strings.Contains(err.Error(), m.Statement) {
				t.Errorf("the error does not tell %s", m.Statement)
			}
			told[m.Right] = true
			s.must(t, m.Statement)
		}
	}
	t.Fatalf("%s still lacks rights after %d rounds: told %v", user, rounds, told)
}

func TestInstallRefusesWhatIsNotItsOwn(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		s.install(t, s.conf())
		refused := func(name, spoil, restore string, want error) {
			t.Helper()
			s.must(t, spoil)
			before := s.traces(t)
			_, err := postgres.Install(t.Context(), s.conf(), s.Config.Targets)
			if !errors.Is(err, want) {
				t.Errorf("%s: install gave %v, want %v", name, err, want)
			}
			if diff := cmp.Diff(before, s.traces(t)); diff != "" {
				t.Errorf("%s: the failed install left something (-before +after):\n%s", name, diff)
			}
			s.must(t, restore)
		}
		comment := func(role, text string) string { return "COMMENT ON ROLE " + role + " IS '" + text + "';" }
		ours := "dbsts:" + one[string](t, s, "SELECT installation::text FROM dbsts.home") + ":"

		refused("another installation's roles", comment("dbsts_owner", "dbsts:00000000-0000-4000-8000-000000000000:dbsts_owner"),
			comment("dbsts_owner", ours+"dbsts_owner"), engine.ErrMisconfigured)
		refused("somebody's dbsts_policy", comment("dbsts_policy", "for policies"), comment("dbsts_policy", ours+"dbsts_policy"), engine.ErrMisconfigured)
		refused("somebody's login", comment("dbsts_sweep", ""), comment("dbsts_sweep", ours+"sweep"), engine.ErrMisconfigured)
		refused("another function's login", comment("dbsts_sweep", ours+"revoke"), comment("dbsts_sweep", ours+"sweep"), engine.ErrMisconfigured)
		refused("an edited migration", "UPDATE dbsts.schema_version SET sha256 = repeat('0', 64) WHERE number = 2",
			"DELETE FROM dbsts.schema_version", engine.ErrMisconfigured)

		s.must(t, "DROP SCHEMA dbsts, dbsts_api CASCADE")
		refused("an installation whose home is another database", "SELECT 1", "SELECT 1", engine.ErrMisconfigured)

		s.wipe(t)
		refused("a role that was there before", "CREATE ROLE dbsts_auditor", "DROP ROLE dbsts_auditor", engine.ErrMisconfigured)
		refused("a login that was there before", "CREATE ROLE dbsts_sweep LOGIN", "DROP ROLE dbsts_sweep", engine.ErrMisconfigured)
		s.install(t, s.conf())
	})
}

func TestAServerOfAnotherAddressIsRefused(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		s.install(t, s.conf())
		s.govern(t)
		wish := s.wish(t, "app_read")
		moved := s.conf()
		moved.Address = strings.Replace(moved.Address, "127.0.0.1", "localhost", 1)
		if moved.Address == s.conf().Address {
			t.Fatalf("%s has no second name", moved.Address)
		}
		if _, err := postgres.Install(t.Context(), moved, s.Config.Targets); !errors.Is(err, engine.ErrMisplaced) {
			t.Errorf("install gave %v, want misplaced", err)
		}
		open := func(login config.Login) *postgres.Engine {
			e, err := postgres.Open(t.Context(), moved, postgres.Options{Login: login})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			return e
		}
		minter, ender, revoker := open(moved.Logins.Exchange), open(moved.Logins.Sweep), open(moved.Logins.Revoke)
		_, mint := minter.Mint(t.Context(), wish)
		_, policy := minter.Policy(t.Context())
		_, lease := ender.Lease(t.Context(), 1, 0)
		_, kill := ender.Kill(t.Context(), nil, nil)
		_, reconcile := ender.Reconcile(t.Context())
		_, silence := revoker.Silence(t.Context(), engine.Possession{}, nil)
		for name, err := range map[string]error{
			"mint": mint, "policy": policy, "refuse": minter.Refuse(t.Context(), engine.Refusal{Subject: wish.Subject}),
			"lease": lease, "kill": kill, "reconcile": reconcile, "silence": silence, "surrender": revoker.Surrender(t.Context(), engine.Possession{}),
			"block": ender.Block(t.Context(), nil), "drop": ender.Drop(t.Context(), nil), "postpone": ender.Postpone(t.Context(), "", ""),
		} {
			if !errors.Is(err, engine.ErrMisplaced) {
				t.Errorf("%s gave %v, want misplaced", name, err)
			}
		}
		// A copy of the ledger on another cluster knows another system identifier.
		s.must(t, "UPDATE dbsts.home SET system_identifier = system_identifier + 1")
		if _, err := s.Minter().Mint(t.Context(), wish); !errors.Is(err, engine.ErrMisplaced) {
			t.Errorf("mint on a copy gave %v, want misplaced", err)
		}
		if _, err := s.Install(t.Context()); !errors.Is(err, engine.ErrMisplaced) {
			t.Errorf("install on a copy gave %v, want misplaced", err)
		}
	})
}

func TestANewPasswordIsApplied(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		s.install(t, s.conf())
		s.as(t, "dbsts_exchange", "new-password") // writes the password file
		defer s.as(t, "dbsts_exchange", "exchange-password")
		s.install(t, s.conf())
		s.Connect(t, "dbsts_exchange", "new-password")
		if _, err := s.Dial(t.Context(), "dbsts_exchange", "exchange-password"); err == nil {
			t.Error("the old password still holds")
		}
		s.govern(t)
		s.works(t)
	})
}

func TestASuperuserInstallsAlike(t *testing.T) {
	onBare(t, func(t *testing.T, s *server) {
		s.install(t, s.as(t, s.AdminUser, s.AdminPassword))
		s.govern(t)
		s.works(t)
		s.install(t, s.as(t, s.AdminUser, s.AdminPassword))
		s.works(t)
	})
}

// PostgreSQL 13 and 14 are beyond their promise, but they install and mint.
func TestOldServersInstallAndMint(t *testing.T) {
	for _, version := range oldVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := shared(t, version)
			s.install(t, s.conf())
			s.works(t)
			reader, maker := s.mint(t, "app_read"), s.mint(t, "app_owner")
			session := s.holding(t, maker.Login, maker.Password.Reveal(), "SET ROLE app_owner", "CREATE TABLE shop.made (id int)")
			s.expire(t, reader, maker)
			s.hurried(t)
			s.became(t, reader, "revoked", "")
			s.became(t, maker, "revoked", "")
			if session.Exec(t.Context(), "SELECT 1") == nil {
				t.Error("a session lives on")
			}
		})
	}
}

// traces lists everything that an install may leave on the server.
func (s *server) traces(t *testing.T) []string {
	t.Helper()
	rows, err := s.admin.Query(t.Context(), `
		SELECT 'role ' || rolname FROM pg_roles WHERE rolname !~ '^pg_' UNION ALL
		SELECT 'schema ' || nspname || coalesce(' ' || nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' UNION ALL
		SELECT 'routine ' || oid::regprocedure || coalesce(' ' || proacl::text, '') FROM pg_proc WHERE oid >= 16384 UNION ALL
		SELECT 'relation ' || oid::regclass || coalesce(' ' || relacl::text, '') FROM pg_class WHERE oid >= 16384 AND relkind <> 't' AND relpersistence <> 't' UNION ALL
		SELECT 'member ' || roleid::regrole || ' ' || member::regrole || ' by ' || grantor::regrole || ' ' || admin_option FROM pg_auth_members UNION ALL
		SELECT 'database ' || datname || coalesce(' ' || datacl::text, '') FROM pg_database ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}
