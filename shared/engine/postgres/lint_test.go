package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/tests/shop"
)

// written is a rule as somebody writes it.
type written struct {
	Effect   string          `json:"effect"`
	Issuer   string          `json:"issuer"`
	Match    json.RawMessage `json:"match"`
	Roles    []string        `json:"roles"`
	MaxTTL   int             `json:"max_ttl"`
	Identity *string         `json:"identity"`
}

// lintCases are those that the linter of package policy is tried with: the database sees a part of it.
func lintCases(t *testing.T) (cases []struct {
	Name, Preset, Database string
	Finds                  []string
	Rule                   written
},
) {
	t.Helper()
	text, err := os.ReadFile("../../policy/testdata/lint.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestRulesThatNobodyCanMeanAreRefusedWhenTheyAreWritten(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		conn, warnings := s.listener(t)
		for _, c := range lintCases(t) {
			*warnings = nil
			err := inVain(t, conn, func(tx pgx.Tx) error { return write(t, tx, c.Rule) })
			got := "takes"
			switch refused, _ := errors.AsType[*pgconn.PgError](err); {
			case code(err) == "23514", code(err) == "23503" && strings.Contains(refused.Message, "catalogue"):
				got = "refuses"
			case err != nil:
				t.Fatalf("%s: %v", c.Name, err)
			case len(*warnings) > 0:
				got = "warns"
			}
			if got != c.Database {
				t.Errorf("%s: the database %s it (%v), want: %s", c.Name, got, err, c.Database)
			}
		}
	})
}

func TestABadRuleCanBeSwitchedOffButNotOn(t *testing.T) {
	s := shared(t, versions()[0])
	conn, _ := s.listener(t)
	err := inVain(t, conn, func(tx pgx.Tx) error {
		for _, statement := range []string{
			"ALTER TABLE dbsts.rules DISABLE TRIGGER lint_rule", // it was written before there was a linter
			`INSERT INTO dbsts.rules (id, issuer, target, match, roles) VALUES ('old', 'https://issuer.test', 'shop', '[{"claim": "sub", "op": "present"}]', '{app_read}')`,
			"SET CONSTRAINTS ALL IMMEDIATE", // its pending triggers would keep us from altering the table again
			"ALTER TABLE dbsts.rules ENABLE TRIGGER lint_rule",
			"UPDATE dbsts.rules SET enabled = false WHERE id = 'old'",
			"UPDATE dbsts.rules SET note = 'to be mended' WHERE id = 'old'",
		} {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		_, err := tx.Exec(t.Context(), "UPDATE dbsts.rules SET enabled = true WHERE id = 'old'")
		return err
	})
	const want = "rule old: every token of the issuer satisfies it: say who is meant"
	if refused, is := errors.AsType[*pgconn.PgError](err); !is || refused.Message != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// listener is a superuser's connection, and the warnings that come over it.
func (s *server) listener(t *testing.T) (conn *pgx.Conn, warnings *[]string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(s.AdminDSN(shop.Database))
	if err != nil {
		t.Fatal(err)
	}
	warnings = &[]string{}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Severity == "WARNING" {
			*warnings = append(*warnings, n.Message)
		}
	}
	conn, err = pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, warnings
}

// inVain runs a transaction that is rolled back.
func inVain(t *testing.T, conn *pgx.Conn, do func(pgx.Tx) error) error {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	return do(tx)
}

func write(t *testing.T, tx pgx.Tx, r written) error {
	t.Helper()
	if r.Effect == "" {
		r.Effect = "allow"
	}
	if r.Issuer == "" {
		r.Issuer = shop.Issuer
	}
	if r.Roles == nil && r.Effect == "allow" {
		r.Roles = []string{"app_read"}
	}
	if r.Roles == nil {
		r.Roles = []string{}
	}
	if r.MaxTTL == 0 {
		r.MaxTTL = 900
	}
	_, err := tx.Exec(t.Context(), `INSERT INTO dbsts.rules (id, effect, issuer, target, match, roles, max_ttl, identity)
		VALUES ('lint-case', $1, $2, 'shop', $3, $4, $5, $6)`, r.Effect, r.Issuer, string(r.Match), r.Roles, r.MaxTTL, r.Identity)
	return err
}
