package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"dbsts/tests/e2e"
	"dbsts/tests/shop"
)

// beyondPublic lists what a login may do that PUBLIC may not, on everything in the shop's database.
func beyondPublic(t *testing.T, s *site, login string) []string {
	t.Helper()
	query, err := os.ReadFile("testdata/rights.sql")
	must(t, err)
	rows, err := s.admin.Query(t.Context(), string(query), login)
	must(t, err)
	rights, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	slices.Sort(rights)
	return rights
}

func TestATokenBecomesALoginWithExactlyTheRightsOfItsRoles(t *testing.T) {
	connecting := []string{"database shop: CONNECT"}
	reading := append(connecting, "schema shop: USAGE", "table shop.customers: SELECT", "table shop.orders: SELECT")
	writing := append(connecting, "schema shop: USAGE", "table shop.customers: SELECT",
		"table shop.orders: DELETE", "table shop.orders: INSERT", "table shop.orders: SELECT", "table shop.orders: UPDATE")
	for _, c := range []struct {
		name, group, scope, granted string
		rights                      []string
		maxTTL                      int
	}{
		{"all that the rule gives", "engineers", "", "app_read app_write", writing, 900},
		{"less than the rule gives", "engineers", "app_read", "app_read", reading, 900},
		{"one role", "analysts", "app_read", "app_read", reading, 900},
		{"a role to be set, so nothing at once", "dba", "", "app_owner", connecting, 900},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *site) {
				before := time.Now()
				a := s.stack.login(t, c.group, "scope", c.scope)
				who, err := s.psql(t, a.DSN, a.AccessToken, "SELECT session_user")
				if err != nil || who != a.Username {
					t.Errorf("session_user: got %q, %v, want %s", who, err, a.Username)
				}
				if diff := cmp.Diff(c.rights, beyondPublic(t, s, a.Username)); diff != "" {
					t.Errorf("rights (-want +got):\n%s", diff)
				}
				if attributes := one[string](t, s, `SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin)
					FROM pg_roles WHERE rolname = $1`, a.Username); attributes != "f f f f f t" {
					t.Errorf("super, createrole, createdb, replication, bypassrls, login: got %s", attributes)
				}
				end := one[time.Time](t, s, "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", a.Username)
				if a.Scope != c.granted || a.ExpiresIn > c.maxTTL || a.ExpiresIn < c.maxTTL-10 || !a.NotAfter.Equal(end.Truncate(time.Second)) ||
					end.After(before.Add(time.Duration(c.maxTTL)*time.Second+10*time.Second)) {
					t.Errorf("got %s for %d s until %v; the login ends at %v", a.Scope, a.ExpiresIn, a.NotAfter, end)
				}
				want := fmt.Sprintln(dbPassword, "N_A", "dbsts_"+a.GrantID, s.Host, s.Port, shop.Database, "postgresql", "verify-full")
				got := fmt.Sprintln(a.IssuedTokenType, a.TokenType, a.Username, a.Host, a.Port, a.Database, a.Engine, a.TLS)
				if got != want || a.header.Get("Cache-Control") != "no-store" || strings.Contains(a.DSN, a.AccessToken) {
					t.Errorf("got %s, %s, %v, want %s", got, a.DSN, a.header, want)
				}
			})
		})
	}
}

func TestASetRolesDSNBeginsTheSessionAsThatRole(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "dba")
		if a.SessionRole != "app_owner" {
			t.Errorf("session_role: got %q", a.SessionRole)
		}
		got, err := s.psql(t, a.DSN, a.AccessToken, `CREATE TABLE shop.fresh (id int);
			SELECT session_user, current_user, (SELECT tableowner FROM pg_tables WHERE tablename = 'fresh'); DROP TABLE shop.fresh`)
		if want := a.Username + "|app_owner|app_owner"; err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		powerless := s.DSN(a.Username, a.AccessToken, shop.Database) // without the options
		if got, err = s.psql(t, powerless, "", "SELECT count(*) FROM shop.orders"); err == nil {
			t.Errorf("before SET ROLE it read %s", got)
		}
	})
}

func TestASessionSeesTheRowsOfItsTokensTenantAndCannotForgeAnother(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "engineers")
		got, err := s.psql(t, a.DSN, a.AccessToken, "SET dbsts.tenant = 'globex'; SELECT DISTINCT tenant FROM shop.orders")
		if err != nil || got != "acme" {
			t.Errorf("tenants: got %q, %v", got, err)
		}
		for _, forbidden := range []string{
			"SELECT * FROM shop.secrets", "SELECT * FROM dbsts.grants", "SELECT * FROM dbsts_api.claims", "SELECT dbsts.mint('{}')",
			"SET ROLE app_owner", "SET ROLE dbsts_owner", "CREATE TABLE shop.mine (id int)", "CREATE ROLE friend", "GRANT app_read TO app_owner",
		} {
			if got, err := s.psql(t, a.DSN, a.AccessToken, forbidden); err == nil {
				t.Errorf("%s: got %q", forbidden, got)
			}
		}
	})
}

func TestRevocationEndsTheOpenSessionBeforeItAnswers(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "analysts")
		session := s.Connect(t, a.Username, a.AccessToken)
		took := s.stack.revoke(t, a.AccessToken).took
		mustBeOver(t, s, a, session)
		if again := s.stack.revoke(t, a.AccessToken); again.status != http.StatusOK {
			t.Errorf("once more: got %d", again.status)
		}
		if s.stack.sweep(t) == 0 {
			t.Error("the sweep dropped nothing")
		}
		e2e.Settled(t, s.admin)
		t.Logf("revocation of a login with one session took %v", took.Round(time.Millisecond))
	})
}

func TestExpiryEndsTheOpenSessionInOneSweep(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "dba")
		session := s.Connect(t, a.Username, a.AccessToken)
		s.exec(t, "UPDATE dbsts.grants SET expires_at = clock_timestamp() - interval '1 second' WHERE id = $1", a.GrantID)
		s.stack.sweep(t)
		mustBeOver(t, s, a, session)
		if state := one[string](t, s, "SELECT state || ' ' || cause FROM dbsts.grants WHERE id = $1", a.GrantID); state != "revoked expired" {
			t.Errorf("the grant is %s", state)
		}
		e2e.Settled(t, s.admin)
	})
}

// mustBeOver wants neither session nor new login, at once and without waiting.
func mustBeOver(t *testing.T, s *site, a answer, session *pgx.Conn) {
	t.Helper()
	if n := one[int](t, s, `SELECT count(*) FROM pg_stat_activity WHERE usename = $1
		OR usesysid = (SELECT role_oid FROM dbsts.grants WHERE login = $1)`, a.Username); n != 0 {
		t.Errorf("%d sessions live", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := session.Exec(ctx, "SELECT 1"); err == nil {
		t.Error("the session answers")
	}
	conn, err := s.Dial(ctx, a.Username, a.AccessToken)
	if err == nil {
		_ = conn.Close(ctx)
	}
	if code := sqlstate(err); code != "28P01" && code != "28000" { // invalid password, not permitted to log in
		t.Errorf("a new login: got %v", err)
	}
	if got, err := s.psql(t, a.DSN, a.AccessToken, "SELECT 1"); err == nil {
		t.Errorf("a new login through psql: got %q", got)
	}
}
