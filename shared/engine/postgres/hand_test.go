package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"dbsts/shared/engine"
)

// routines are the published ones, by the login that may execute them.
var routines = map[string][]string{
	"dbsts_exchange": {"policy", "mint", "refuse"},
	"dbsts_revoke":   {"surrender", "silence"},
	"dbsts_sweep":    {"lease", "block", "kill", "drop", "postpone", "reconcile"},
}

// attempts are what none of the broker's logins may do. The database itself says no.
var attempts = []string{
	"CREATE ROLE mine", "CREATE ROLE mine LOGIN", "CREATE USER mine", "DROP ROLE app_read", "ALTER ROLE app_read LOGIN",
	"ALTER ROLE CURRENT_USER CREATEROLE", "ALTER ROLE CURRENT_USER SUPERUSER", "ALTER ROLE CURRENT_USER CONNECTION LIMIT 1000",
	"ALTER ROLE dbsts_owner PASSWORD 'x'", "ALTER ROLE dbsts_creator_00 LOGIN",
	"GRANT app_read TO CURRENT_USER", "GRANT dbsts_owner TO CURRENT_USER", "GRANT pg_read_all_data TO CURRENT_USER",
	"SET ROLE dbsts_owner", "SET ROLE dbsts_creator_00", "SET ROLE dbsts_caps", "SET ROLE dbsts_audit", "SET ROLE app_read", "SET ROLE postgres",
	"SET SESSION AUTHORIZATION postgres", "SET session_replication_role = replica",
	"INSERT INTO dbsts.audit (event, outcome) VALUES ('x', 'x')", "UPDATE dbsts.audit SET outcome = 'x'", "DELETE FROM dbsts.audit",
	"TRUNCATE dbsts.audit", "DROP TABLE dbsts.audit", "ALTER TABLE dbsts.audit DISABLE TRIGGER ALL", "TRUNCATE dbsts.replays",
	"UPDATE dbsts.policy SET frozen = false", "INSERT INTO dbsts.epochs VALUES ('*', '*', '*', now(), 'x')", "DELETE FROM dbsts.epochs",
	"UPDATE dbsts.rules SET enabled = true", "UPDATE dbsts.roles SET max_ttl = 86400", "UPDATE dbsts.home SET address = 'x'",
	"DO $$ BEGIN LOCK TABLE dbsts.gate IN ACCESS SHARE MODE; END $$", "DO $$ BEGIN LOCK TABLE dbsts.grants IN ROW SHARE MODE; END $$",
	"CREATE TABLE dbsts.mine (x int)", "CREATE TABLE dbsts_api.mine (x int)", "CREATE TABLE public.mine (x int)", "CREATE SCHEMA mine",
	"CREATE TEMP TABLE mine (x int)",
	"CREATE OR REPLACE FUNCTION dbsts.mint(doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$",
	"CREATE OR REPLACE FUNCTION dbsts_api.claim(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$",
	"ALTER FUNCTION dbsts.mint(jsonb) RESET ALL", "ALTER FUNCTION dbsts.mint(jsonb) OWNER TO CURRENT_USER", "DROP FUNCTION dbsts.mint(jsonb)",
	"SELECT * FROM pg_authid", "SELECT pg_read_file('postgresql.conf')", "COPY (SELECT 1) TO PROGRAM 'true'", "COPY dbsts.grants TO STDOUT",
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
	"ALTER SYSTEM SET log_statement = 'none'", "SET log_statement = 'none'", "ALTER DATABASE shop CONNECTION LIMIT 0",
	"SELECT * FROM dbsts_api.claims", "SELECT * FROM dbsts_api.own_claims", "SELECT * FROM shop.customers",
	"SELECT dbsts.as_creator(0, 'create', 'dbsts_aaaaaaaaaaaaaaaaaaaaaaaaaa', '{}')",
	"SELECT dbsts.as_creator_00('create', 'dbsts_aaaaaaaaaaaaaaaaaaaaaaaaaa', '{}')",
	"SELECT dbsts.look('{}', NULL)", "SELECT dbsts.end_grants('{}', 'x')", "SELECT dbsts.block_logins('{}')", "SELECT dbsts.drop_logins('{}')",
	"SELECT dbsts.strip_login('x')", "SELECT dbsts.minted('x')", "SELECT dbsts.kill_sessions('{}', NULL)", "SELECT dbsts.possessed('{}')",
	"SELECT dbsts.role_flaw(10, 'inherit')", "SELECT dbsts.placed('{}')", "SELECT dbsts.moved('{}')", "SELECT dbsts.wish('{}', 1)",
}

func TestTheBrokersLoginsMayOnlyExecuteTheirRoutines(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		before := s.traces(t)
		for login := range routines {
			s.mayNotByHand(t, login)
		}
		if diff := cmp.Diff(before, s.traces(t)); diff != "" {
			t.Errorf("the attempts left something (-before +after):\n%s", diff)
		}
	})
}

func (s *server) mayNotByHand(t *testing.T, login string) {
	t.Helper()
	conn := s.steal(t, login)
	deny := func(statement string) {
		t.Helper()
		_, err := conn.PgConn().Exec(t.Context(), statement).ReadAll()
		if code(err) != "42501" { // insufficient_privilege
			t.Errorf("%s: %s: got %v, want insufficient privilege", login, statement, err)
		}
	}
	for _, statement := range attempts {
		deny(statement)
	}
	// What one may not hand on is not handed on, but that is a warning; see the traces.
	_, _ = conn.PgConn().Exec(t.Context(), "GRANT EXECUTE ON FUNCTION dbsts.mint(jsonb) TO PUBLIC").ReadAll()
	_, _ = conn.PgConn().Exec(t.Context(), "GRANT USAGE ON SCHEMA dbsts TO PUBLIC").ReadAll()
	for _, table := range s.tables(t) {
		deny("SELECT FROM " + table)
		deny("INSERT INTO " + table + " DEFAULT VALUES")
		deny("DELETE FROM " + table)
	}
	for other, names := range routines {
		for _, name := range names {
			if other != login {
				deny(fmt.Sprintf("SELECT dbsts.%s('{}')", name))
			} else if _, err := conn.call(t.Context(), name, map[string]any{"server": ""}); code(err) == "42501" {
				t.Errorf("%s may not execute %s", login, name)
			}
		}
	}
	for _, database := range []string{"postgres", "archive", "template1"} {
		dsn := s.DSN(login, passwords[login], database)
		if other, err := pgx.Connect(t.Context(), dsn); err == nil {
			_ = other.Close(t.Context())
			t.Errorf("%s may connect to %s", login, database)
		}
	}
}

// tables are all of ours.
func (s *server) tables(t *testing.T) []string {
	t.Helper()
	list := one[[]string](t, s, "SELECT array_agg(oid::regclass::text) FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace::regnamespace::text ~ '^dbsts'")
	if len(list) < 12 {
		t.Fatalf("tables: %v", list)
	}
	return list
}

// A minted login reads its own claims and nothing else of ours, whatever its role.
func TestMintedLoginsSeeNothingOfOurs(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, role := range []string{"app_read", "app_owner"} {
			c := s.mint(t, role)
			conn := s.Connect(t, c.Login, c.Password.Reveal())
			if c.SessionRole != "" {
				if _, err := conn.Exec(t.Context(), "SET ROLE "+quoted(c.SessionRole)); err != nil {
					t.Fatal(err)
				}
			}
			statements := []string{"SELECT pg_read_file('PG_VERSION')", "SELECT dbsts.look('{}', NULL)", "CREATE ROLE mine", "ALTER ROLE " + c.Login + " VALID UNTIL 'infinity'"}
			for _, table := range s.tables(t) {
				statements = append(statements, "SELECT FROM "+table, "DELETE FROM "+table)
			}
			for _, names := range routines {
				for _, name := range names {
					statements = append(statements, "SELECT dbsts."+name+"('{}')")
				}
			}
			for _, statement := range statements {
				if _, err := conn.Exec(t.Context(), statement); code(err) != "42501" {
					t.Errorf("%s: %s: got %v, want insufficient privilege", role, statement, err)
				}
			}
			if _, err := conn.Exec(t.Context(), "SELECT dbsts_api.claim('tenant')"); err != nil {
				t.Errorf("%s: its own claim: %v", role, err)
			}
			for _, database := range []string{"postgres", "archive"} {
				if other, err := pgx.Connect(t.Context(), s.DSN(c.Login, c.Password.Reveal(), database)); err == nil {
					_ = other.Close(t.Context())
					t.Errorf("%s: may connect to %s", role, database)
				}
			}
		}
	})
}

// Whoever holds the sweep's login cannot end what is not due: it has no routine that makes a grant due.
func TestTheSweepsLoginCannotEndWhatIsNotDue(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.mint(t, "app_read")
		conn := s.Connect(t, c.Login, c.Password.Reveal())
		sweep := s.steal(t, "dbsts_sweep")
		ids := []string{c.Grant}
		for _, attempt := range []struct {
			routine string
			doc     map[string]any
		}{
			{"lease", map[string]any{"n": 1000, "seconds": -100000}},
			{"block", map[string]any{"ids": ids}},
			{"kill", map[string]any{"ids": ids, "seen": []engine.Stranger{{PID: int(conn.PgConn().PID()), VXID: "1/1"}}}},
			{"drop", map[string]any{"ids": ids}},
			{"postpone", map[string]any{"grant": c.Grant, "cause": strings.Repeat("owned", 100)}},
			{"reconcile", map[string]any{}},
		} {
			_, _ = sweep.call(t.Context(), attempt.routine, attempt.doc)
			if row, err := s.Row(t.Context(), c.Grant); err != nil || row.State != "active" {
				t.Errorf("after %s the grant is %+v, %v", attempt.routine, row, err)
			}
			if _, err := conn.Exec(t.Context(), "SELECT FROM shop.customers"); err != nil {
				t.Fatalf("after %s: %v", attempt.routine, err)
			}
		}
	})
}
