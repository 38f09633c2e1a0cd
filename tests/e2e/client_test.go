package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/tests/servers"
)

// Values of RFC 8693 §3 and of our own.
const (
	tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	idToken       = "urn:ietf:params:oauth:token-type:id_token"
	jwtToken      = "urn:ietf:params:oauth:token-type:jwt"
	accessToken   = "urn:ietf:params:oauth:token-type:access_token"
	dbPassword    = "urn:dbsts:params:oauth:token-type:db-password"
	dbDSN         = "urn:dbsts:params:oauth:token-type:db-dsn"
)

// answer is what the service said.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration

	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
	Scope           string
	Username        string
	Host            string
	Port            int
	Database        string
	Engine, TLS     string
	GrantID         string    `json:"grant_id"`
	NotAfter        time.Time `json:"not_after"`
	SessionRole     string    `json:"session_role"`
	DSN             string
	Error, Reason   string
	RequestID       string `json:"request_id"`
}

// send posts a form. Every secret in the answer is remembered.
func (d *stack) send(ctx context.Context, path string, form url.Values) (answer, error) {
	return d.do(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode())
}

func (d *stack) do(ctx context.Context, method, path, contentType, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	begun := time.Now()
	response, err := d.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, body: string(text), took: time.Since(begun)}
	if len(text) > 0 {
		err = errors.Join(err, json.Unmarshal(text, &a))
	}
	run.spoken.secret(a.AccessToken)
	return a, err
}

// exchange asks for a login for the shop. Further parameters come in pairs and replace the usual ones; "" removes one.
func (d *stack) exchange(t *testing.T, token string, parameters ...string) answer {
	t.Helper()
	a, err := d.send(t.Context(), "/token", exchangeForm(token, parameters...))
	if err != nil {
		t.Fatalf("exchange: %v", err)
	}
	return a
}

func exchangeForm(token string, parameters ...string) url.Values {
	form := url.Values{"grant_type": {tokenExchange}, "subject_token_type": {idToken}, "subject_token": {token}, "audience": {"shop"}}
	for pair := range slices.Chunk(parameters, 2) {
		form.Set(pair[0], pair[1])
		if pair[1] == "" {
			form.Del(pair[0])
		}
	}
	return form
}

// login exchanges a token of a new person of that group, and wants a login.
func (d *stack) login(t *testing.T, group string, parameters ...string) answer {
	t.Helper()
	a := d.exchange(t, d.token(t, person(group)), parameters...)
	if a.status != http.StatusOK {
		t.Fatalf("exchange for %s: got %d %s", group, a.status, a.body)
	}
	return a
}

// revoke ends a login and wants that to have worked.
func (d *stack) revoke(t *testing.T, token string) answer {
	t.Helper()
	a, err := d.send(t.Context(), "/revoke", url.Values{"token": {token}})
	if err != nil || a.status != http.StatusOK || a.body != "" {
		t.Fatalf("revoke: got %d %s, %v", a.status, a.body, err)
	}
	return a
}

// person is the claims of somebody nobody has seen before, with what must not get into a log.
func person(group string) map[string]any {
	name := "p" + strings.ToLower(rand.Text())
	run.spoken.claim(name)
	return map[string]any{"sub": name, "email": name + "@" + mailDomain, "name": "Person " + name, "tenant": "acme", "groups": []string{group}}
}

// with copies claims and changes some; nil removes one.
func with(claims map[string]any, changes ...any) map[string]any {
	changed := maps.Clone(claims)
	for pair := range slices.Chunk(changes, 2) {
		name, _ := pair[0].(string)
		changed[name] = pair[1]
		if pair[1] == nil {
			delete(changed, name)
		}
	}
	return changed
}

// token has the site's issuer sign claims.
func (s *site) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	return signed(t, s.direct, claims)
}

// signed asks an issuer of the local stack for a token.
func signed(t *testing.T, issuer string, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/dev/token", bytes.NewReader(body))
	must(t, err)
	response, err := run.certificate.Client().Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	var token struct {
		Text string `json:"id_token"`
	}
	must(t, json.NewDecoder(response.Body).Decode(&token))
	run.spoken.token(token.Text)
	return token.Text
}

// psql runs one statement as a user would: the DSN as answered, the password in the environment, full verification.
// Without a psql on the machine, pgx does it. Rows come as psql -A -t prints them.
func (s *site) psql(t *testing.T, dsn, password, statement string) (string, error) {
	t.Helper()
	if program := servers.FindPsql(); program != "" {
		command := exec.CommandContext(t.Context(), program, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", statement) //nolint:gosec // our own words
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "PGPASSWORD=" + password, "PGSSLROOTCERT=" + s.CAFile, "PGCONNECT_TIMEOUT=5"}
		output, err := command.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("psql: %w: %s", err, output)
		}
		return strings.TrimSpace(string(output)), nil
	}
	cfg, err := pgx.ParseConfig(dsn + "&sslrootcert=" + url.QueryEscape(s.CAFile))
	if err != nil {
		return "", err
	}
	if password != "" {
		cfg.Password = password
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	results, err := conn.PgConn().Exec(t.Context(), statement).ReadAll()
	var lines []string
	for _, result := range results {
		for _, row := range result.Rows {
			lines = append(lines, string(bytes.Join(row, []byte("|"))))
		}
	}
	return strings.Join(lines, "\n"), err
}

// sqlstate is the server's code in an error, or "".
func sqlstate(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}
