package postgres_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/shared/engine"
	"dbsts/shared/engine/postgres"
)

// logged is what the server has logged since an offset.
func (s *server) logged(t *testing.T, since int64) string {
	t.Helper()
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text[since:])
}

func (s *server) logSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(s.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A server that logs every statement logs verifiers, and never a secret: that does not reach it.
func TestTheServersLogHoldsNoSecret(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		since := s.logSize(t)
		m := s.wish(t, "app_read")
		doc := document(t, m)
		scram, err := postgres.ScramVerifier(engine.Password(m.ID, m.Secret), 4096)
		if err != nil {
			t.Fatal(err)
		}
		doc["verifier"] = scram
		if answer, err := s.steal(t, "dbsts_exchange").call(t.Context(), "mint", doc); err != nil || answer["outcome"] != "minted" {
			t.Fatalf("mint gave %v, %v", answer, err)
		}
		password := engine.Password(m.ID, m.Secret)
		conn := s.Connect(t, engine.LoginName(m.ID), password.Reveal())
		if _, err := conn.Exec(t.Context(), "SELECT FROM shop.customers"); err != nil {
			t.Fatal(err)
		}
		if err := s.Revoker().Surrender(t.Context(), engine.Possession{Grant: m.ID, Secret: m.Secret}); err != nil {
			t.Fatal(err)
		}
		wrong := engine.NewSecret()
		if err := s.Revoker().Surrender(t.Context(), engine.Possession{Grant: m.ID, Secret: wrong}); !errors.Is(err, engine.ErrUnknownGrant) {
			t.Fatal(err)
		}
		text := s.logged(t, since)
		if !strings.Contains(text, scram) {
			t.Error("the log does not hold the verifier: it does not show every statement")
		}
		for what, secret := range map[string]string{"secret": m.Secret.Reveal(), "password": password.Reveal(), "secret that fits nothing": wrong.Reveal()} {
			if strings.Contains(text, secret) {
				t.Errorf("the log holds the %s", what)
			}
		}
		if found := regexp.MustCompile(`dbsts_[a-z2-7]{26}_[a-z2-7]{52}`).FindString(s.logged(t, 0)); found != "" {
			t.Errorf("the log of all tests holds a password: %s", found)
		}
		for _, password := range passwords {
			if strings.Contains(s.logged(t, 0), password) {
				t.Error("the log holds the password of a broker's login")
			}
		}
	})
}

// When a login cannot be made, neither the caller nor the log gets to see the verifier in an error.
func TestNoErrorQuotesAVerifier(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		m := s.wish(t, "app_read")
		s.must(t, "CREATE ROLE "+engine.LoginName(m.ID))
		since := s.logSize(t)
		doc := document(t, m)
		scram := fmt.Sprint(doc["verifier"])
		thief := s.steal(t, "dbsts_exchange", "SET client_min_messages = debug5", "SET plpgsql.print_strict_params = on")
		_, err := thief.call(t.Context(), "mint", doc)
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pg.Code != "42710" {
			t.Fatalf("mint over an existing role gave %v", err)
		}
		if strings.Contains(fmt.Sprintf("%+v", *pg), scram) {
			t.Errorf("the error quotes the verifier: %+v", *pg)
		}
		for line := range strings.Lines(s.logged(t, since)) {
			if strings.Contains(line, scram) && !strings.Contains(line, "arameters: $1 = ") && !strings.Contains(line, "execute ") {
				t.Errorf("the log quotes the verifier: %s", line)
			}
		}
		// The engine's own error says the SQLSTATE and no more.
		if _, err := s.Minter().Mint(t.Context(), m); err == nil || strings.Contains(err.Error(), "SCRAM") || strings.Contains(err.Error(), "CREATE") {
			t.Errorf("the engine's error: %v", err)
		}
	})
}

// What others can read about a login holds the marker and nothing about its owner.
func TestALoginTellsOthersNothingAboutItsOwner(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		m := s.wish(t, "app_read")
		m.Rules = []engine.Rule{{ID: "analysts", Version: 1}}
		m.Reason, m.Exposed, m.Claims = "TICKET-4711", map[string]any{"tenant": "acme-4711"}, map[string]any{"groups": []string{"g-4711"}}
		m.Subject.Subject, m.SourceIP = "subject-4711", "198.51.100.47"
		c := s.minted(t, m)
		conn := s.Connect(t, c.Login, c.Password.Reveal())
		other := s.mint(t, "app_read")
		reader := s.Connect(t, other.Login, other.Password.Reveal())
		var seen string
		err := reader.QueryRow(t.Context(), `
			SELECT concat_ws(' ', to_jsonb(r), shobj_description(r.oid, 'pg_authid'), to_jsonb(a)) FROM pg_roles r LEFT JOIN pg_stat_activity a ON a.usesysid = r.oid
			WHERE rolname = $1`, c.Login).Scan(&seen)
		if err != nil || conn.IsClosed() {
			t.Fatal(err)
		}
		for _, private := range []string{"4711", "198.51.100.47", m.Identity} {
			if strings.Contains(seen, private) {
				t.Errorf("others see %s in %s", private, seen)
			}
		}
		if !strings.Contains(seen, "dbsts:") {
			t.Errorf("the login has no marker: %s", seen)
		}
	})
}

// Row-level security relies on claims: each tenant sees its own rows, a login without the claim none.
func TestRowsFollowClaims(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for tenant, want := range map[string]string{"acme": "anvil", "globex": "globe", "nobody": "", "": ""} {
			m := s.wish(t, "app_read")
			if tenant != "" {
				m.Exposed = map[string]any{"tenant": tenant}
			}
			c := s.minted(t, m)
			conn := s.Connect(t, c.Login, c.Password.Reveal())
			var items string
			if err := conn.QueryRow(t.Context(), "SELECT coalesce(string_agg(item, ' '), '') FROM shop.orders").Scan(&items); err != nil || items != want {
				t.Errorf("%q sees %q, %v, want %q", tenant, items, err, want)
			}
		}
	})
}
