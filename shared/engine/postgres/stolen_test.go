package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/engine"
	"dbsts/tests/shop"
)

// Whoever holds the exchange's login can claim to be anybody whom a rule admits, but gets nothing that no rule gives.
func TestAStolenExchangeLoginStaysWithinTheCeilings(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ended := s.rule(t, "app_read", "valid_until = now() - interval '1 second'")
		foreign := s.rule(t, "app_read", "issuer = 'https://other.test'")
		short := s.rule(t, "app_read", "max_ttl = 60")
		thief := s.steal(t, "dbsts_exchange")
		cite := func(id string) []engine.Rule { return []engine.Rule{{ID: id, Version: 1}, {ID: id, Version: 2}} }
		for name, c := range map[string]struct {
			change map[string]any
			want   string // reason of the refusal, or SQLSTATE
		}{
			"a role of ours":         {map[string]any{"roles": []string{"dbsts_owner"}}, "role_not_in_catalogue"},
			"the creator":            {map[string]any{"roles": []string{"dbsts_creator_00"}}, "role_not_in_catalogue"},
			"what gives the roles":   {map[string]any{"roles": []string{"dbsts_caps"}}, "role_not_in_catalogue"},
			"its own login":          {map[string]any{"roles": []string{"dbsts_exchange"}}, "role_not_in_catalogue"},
			"a connect role":         {map[string]any{"roles": []string{"dbsts_connect_1_00"}}, "role_not_in_catalogue"},
			"the superuser":          {map[string]any{"roles": []string{"postgres"}}, "role_not_in_catalogue"},
			"a system role":          {map[string]any{"roles": []string{"pg_read_all_data"}}, "role_not_in_catalogue"},
			"a role and one more":    {map[string]any{"roles": []string{"app_read", "postgres"}}, "role_not_in_catalogue"},
			"another rule's role":    {map[string]any{"roles": []string{"app_write"}}, "role_not_covered_by_rule"},
			"an ended rule":          {map[string]any{"rules": cite(ended)[1:]}, "rule_not_live"},
			"another issuer's rule":  {map[string]any{"rules": cite(foreign)[1:]}, "rule_not_live"},
			"an old version":         {map[string]any{"rules": cite(short)[:1]}, "rule_not_live"},
			"all versions":           {map[string]any{"rules": cite(short)}, "rule_not_live"},
			"a rule without version": {map[string]any{"rules": []map[string]any{{"id": short}}}, "rule_not_live"},
			"a second too long":      {map[string]any{"rules": cite(short)[1:], "ttl": 61}, "lifetime_exceeded"},
			"a day":                  {map[string]any{"ttl": 86400}, "lifetime_exceeded"},
			"for ever":               {map[string]any{"ttl": 2147483647}, "lifetime_exceeded"},
			"longer than for ever":   {map[string]any{"ttl": 2147483648}, "22003"},
			"no lifetime":            {map[string]any{"ttl": nil}, "DS003"},
			"an issuer without rule": {map[string]any{"issuer": "https://evil.test"}, "rule_not_live"},
			"another claim":          {map[string]any{"exposed": map[string]any{"admin": true}}, "claim_not_exposed"},
			"claims in a list":       {map[string]any{"exposed": []string{"tenant"}}, "22023"},
			"too much to keep":       {map[string]any{"claims": map[string]any{"x": strings.Repeat("x", 40000)}}, "DS003"},
			"a target of nobody":     {map[string]any{"target": "postgres"}, "target_unknown"},
			"no token":               {map[string]any{"token_key": nil}, "DS003"},
			"nobody":                 {map[string]any{"identity": ""}, "DS003"},
			"no subject":             {map[string]any{"subject": nil}, "DS003"},
			"a token of tomorrow":    {map[string]any{"token_iat": json.Number("4000000000")}, "token_from_the_future"},
			"a token of no time":     {map[string]any{"token_iat": nil}, "DS003"},
			"replay as one likes":    {map[string]any{"replay": "maybe"}, "DS003"},
			"no replay":              {map[string]any{"replay": nil}, "DS003"},
			"a shorter id":           {map[string]any{"grant": "abc"}, "DS003"},
			"an id with SQL":         {map[string]any{"grant": `x"; DROP ROLE app_read; --aaaaaa`}, "DS003"},
			"an id with a new line":  {map[string]any{"grant": engine.NewGrantID() + "\n"}, "DS003"},
			"a short hash":           {map[string]any{"secret_hash": "00"}, "DS003"},
			"no hash":                {map[string]any{"secret_hash": nil}, "DS003"},
			"an old policy":          {map[string]any{"policy_version": 1}, "stale"},
			"a policy to come":       {map[string]any{"policy_version": 1 << 40}, "stale"},
			"no policy":              {map[string]any{"policy_version": nil}, "stale"},
		} {
			m := s.wish(t, "app_read")
			m.Lifetime = 60
			doc := document(t, m)
			for key, value := range c.change {
				doc[key] = value
			}
			answer, err := thief.call(t.Context(), "mint", doc)
			got := code(err)
			if err == nil {
				got = fmt.Sprint(answer["reason"])
				if answer["outcome"] != "refused" {
					got = fmt.Sprint(answer["outcome"])
				}
			}
			if got != c.want {
				t.Errorf("%s: got %s (%v, %v), want %s", name, got, answer, err, c.want)
			}
			if answer["outcome"] == "refused" {
				n := one[int](t, s, "SELECT count(*) FROM dbsts.audit WHERE grant_id = $1 AND outcome = 'refused' AND actor = 'dbsts_exchange'", m.ID)
				if n != 1 {
					t.Errorf("%s: %d refusals on record, want 1", name, n)
				}
			}
			if n := one[int](t, s, "SELECT count(*) FROM pg_roles WHERE rolname = $1", engine.LoginName(m.ID)); n != 0 {
				t.Errorf("%s: a login was made", name)
			}
		}
	})
}

// What a document may not decide is not taken from it.
func TestADocumentDecidesNoMoreThanItsMembers(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		thief := s.steal(t, "dbsts_exchange")
		m := s.wish(t, "app_read")
		doc := document(t, m)
		for key, value := range map[string]any{
			"login": "postgres", "role_oid": 10, "database": "postgres", "creator": 99, "state": "intended", "mode": "iam", "activation": "set",
			"expires_at": "2099-01-01", "issued_at": "2099-01-01", "connection_limit": -1, "valid_until": "infinity", "marker": "x", "connect": "postgres",
			"next_attempt_at": "2099-01-01", "outcome": "done",
		} {
			doc[key] = value
		}
		answer, err := thief.call(t.Context(), "mint", doc)
		if err != nil || answer["outcome"] != "minted" {
			t.Fatalf("mint gave %v, %v", answer, err)
		}
		got := one[string](t, s, `
			SELECT concat_ws(' ', login = 'dbsts_' || id, database, state, mode, activation, round(extract(epoch FROM expires_at - issued_at)), next_attempt_at,
				r.rolconnlimit, r.rolvaliduntil = expires_at, r.rolsuper, r.rolcreaterole, shobj_description(r.oid, 'pg_authid') = 'dbsts:' || installation || ':' || id)
			FROM dbsts.grants g JOIN pg_roles r ON r.oid = g.role_oid, dbsts.home WHERE id = $1`, m.ID)
		if want := "t shop active password inherit 300 10 t f f t"; got != want {
			t.Errorf("minted %s, want %s", got, want)
		}
	})
}

func TestOnlyReadCommittedIsServed(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for login, names := range routines {
			for _, level := range []string{"REPEATABLE READ", "SERIALIZABLE"} {
				for _, how := range []string{
					"BEGIN ISOLATION LEVEL " + level, "SET default_transaction_isolation = '" + level + "'",
					"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL " + level,
				} {
					thief := s.steal(t, login, how)
					for _, name := range names {
						if _, err := thief.call(t.Context(), name, map[string]any{}); code(err) != "DS002" && code(err) != "25P02" { // 25P02: after an error
							t.Errorf("%s, %s: got %v", how, name, err)
						}
					}
				}
			}
		}
	})
}

func TestAStolenLoginMeetsTheQuota(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.must(t, "UPDATE dbsts.policy SET mints_per_identity_minute = 5")
		defer s.must(t, "UPDATE dbsts.policy SET mints_per_identity_minute = NULL")
		thief := s.steal(t, "dbsts_exchange")
		identity := s.wish(t, "app_read").Identity
		outcomes := map[string]int{}
		for range 8 {
			m := s.wish(t, "app_read")
			m.Identity = identity
			answer, err := thief.call(t.Context(), "mint", document(t, m))
			if err != nil {
				t.Fatal(err)
			}
			outcomes[strings.TrimSuffix(fmt.Sprint(answer["outcome"], " ", answer["reason"]), " <nil>")]++
		}
		if diff := cmp.Diff(map[string]int{"minted": 5, "refused quota_rate_identity": 3}, outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// A verifier that costs the server minutes, or that is none, is not taken: neither a password in clear, nor MD5.
func TestOnlyPlausibleVerifiersAreTaken(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		thief := s.steal(t, "dbsts_exchange")
		good := verifier(4096)
		for _, bad := range []any{
			nil, "", "secret", "md5" + strings.Repeat("0", 32), verifier(4095), verifier(100_001), verifier(20_000_000), verifier(2_147_483_647),
			"scram-sha-256" + good[13:], good[:len(good)-1], good + " ", " " + good, good + "\n", good + good, strings.Replace(good, ":", "$", 1),
			strings.Replace(good, "4096", "04096", 1) + "A", strings.Replace(good, "4096", "-4096", 1), strings.Replace(good, "4096", "4e3", 1),
			strings.Replace(good, "A", "!", 1), strings.Replace(good, "A", "'", 1), strings.Replace(good, "AA", "", 1), 4096,
			[]string{good},
			map[string]any{"x": good},
		} {
			doc := document(t, s.wish(t, "app_read"))
			doc["verifier"] = bad
			if answer, err := thief.call(t.Context(), "mint", doc); code(err) != "DS003" && code(err) != "22003" {
				t.Errorf("verifier %v: got %v, %v", bad, answer, err)
			}
		}
		for _, iterations := range []int{4096, 4097, 100_000} {
			doc := document(t, s.wish(t, "app_read"))
			doc["verifier"] = verifier(iterations)
			if answer, err := thief.call(t.Context(), "mint", doc); err != nil || answer["outcome"] != "minted" {
				t.Errorf("%d iterations: got %v, %v", iterations, answer, err)
			}
		}
	})
}

// The catalogue takes no role that would outlive its minutes, whoever writes it.
func TestHostileRolesAreNotRegistered(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		name := func(n int) string { return fmt.Sprintf("hostile_%d", n) }
		flaws := map[string]string{
			"is a superuser": "ALTER ROLE %s SUPERUSER", "can log in": "ALTER ROLE %s LOGIN", "has CREATEROLE": "ALTER ROLE %s CREATEROLE",
			"has CREATEDB": "ALTER ROLE %s CREATEDB", "has REPLICATION": "ALTER ROLE %s REPLICATION", "has BYPASSRLS": "ALTER ROLE %s BYPASSRLS",
			"reaches a system role": "GRANT pg_signal_backend TO %s", "has ADMIN OPTION on a role": "GRANT app_read TO %s WITH ADMIN OPTION",
			"owns a database": "CREATE DATABASE %[1]s; ALTER DATABASE %[1]s OWNER TO %[1]s", "has rights on schema dbsts": "GRANT USAGE ON SCHEMA dbsts TO %s",
			"has rights on a server parameter": "GRANT SET ON PARAMETER log_statement TO %s", "may create objects": "GRANT CREATE ON SCHEMA shop TO %s",
			"reaches a system role of ours": "GRANT dbsts_policy TO %s", "does not exist": "DROP ROLE %s", "may not connect": "",
		}
		n := 0
		for flaw, statements := range flaws {
			n++
			role, inner := name(n), name(n)+"_inner"
			s.must(t, "CREATE ROLE "+role+"; CREATE ROLE "+inner)
			if flaw != "may not connect" {
				s.must(t, "GRANT CONNECT ON DATABASE shop TO "+inner)
			}
			s.must(t, "GRANT "+inner+" TO "+role)
			if s.modern() {
				s.must(t, "GRANT "+role+" TO dbsts_caps WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
			}
			spoilt := inner // the flaw is that of a role which the role reaches
			if flaw == "does not exist" {
				spoilt = role
			}
			for statement := range strings.SplitSeq(statements, "; ") {
				if statement != "" {
					s.must(t, fmt.Sprintf(statement, spoilt))
				}
			}
			want, _, _ := strings.Cut(flaw, " of ours")
			err := s.exec(t.Context(), "INSERT INTO dbsts.roles (target, role) VALUES ($1, $2)", shop.Target, role)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("a role that %s: got %v", flaw, err)
			}
			s.must(t, "DROP DATABASE IF EXISTS "+inner)
		}
		for _, ours := range []string{"dbsts_owner", "dbsts_creator_00", "dbsts_caps", "dbsts_exchange", "postgres", "pg_monitor"} {
			if err := s.exec(t.Context(), "INSERT INTO dbsts.roles (target, role) VALUES ($1, $2)", shop.Target, ours); err == nil {
				t.Errorf("%s was registered", ours)
			}
		}
	})
}
