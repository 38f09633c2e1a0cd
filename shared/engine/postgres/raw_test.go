package postgres_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/shared/engine"
	"dbsts/tests/shop"
)

// passwords of the broker's logins; see tests/shop.
var passwords = map[string]string{
	"dbsts_exchange": "exchange-password", "dbsts_revoke": "revoke-password", "dbsts_sweep": "sweep-password",
}

// thief is a session of one of the broker's logins in the hands of somebody else.
type thief struct {
	*pgx.Conn
	address string
}

// steal logs in as one of the broker's logins and runs statements, as a thief would.
func (s *server) steal(t *testing.T, login string, statements ...string) thief {
	t.Helper()
	conn := s.Connect(t, login, passwords[login])
	for _, statement := range statements {
		if _, err := conn.PgConn().Exec(t.Context(), statement).ReadAll(); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return thief{conn, s.Address()}
}

// call calls a routine with a document of the thief's own making.
func (c thief) call(ctx context.Context, routine string, doc map[string]any) (map[string]any, error) {
	doc["server"] = c.address
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var raw []byte
	err = c.QueryRow(ctx, "SELECT dbsts."+routine+"($1::jsonb)", pgx.QueryExecModeExec, string(text)).Scan(&raw)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	return answer, json.Unmarshal(raw, &answer)
}

// document is what the engine would send for a wish.
func document(t *testing.T, m engine.Mint) map[string]any {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	doc := map[string]any{}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"token_iat", "token_exp", "policy_version"} { // not as 1e+09
		doc[number] = json.Number(fmt.Sprintf("%.0f", doc[number]))
	}
	hash := sha256.Sum256([]byte(m.Secret.Reveal()))
	doc["secret_hash"] = hex.EncodeToString(hash[:])
	doc["verifier"] = verifier(4096)
	return doc
}

// verifier has the right shape and fits no password.
func verifier(iterations int) string {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(16), b64(32), b64(32))
}

// code is the SQLSTATE of an error; empty if it has none.
func code(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// rule writes a rule that gives one of the shop's roles, and gives its id.
func (s *server) rule(t *testing.T, role, more string) string {
	t.Helper()
	id := "rule-" + engine.NewGrantID()
	s.must(t, fmt.Sprintf(`INSERT INTO dbsts.rules (id, issuer, target, match, roles) VALUES
		('%s', '%s', '%s', '[{"claim": "groups", "op": "has", "value": "x"}]', '{%s}')`, id, shop.Issuer, shop.Target, role))
	if more != "" {
		s.must(t, fmt.Sprintf("UPDATE dbsts.rules SET %s WHERE id = '%s'", more, id))
	}
	return id
}

// expire makes grants due.
func (s *server) expire(t *testing.T, credentials ...engine.Credential) {
	t.Helper()
	for _, c := range credentials {
		if err := s.Backdate(t.Context(), c.Grant, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
}
