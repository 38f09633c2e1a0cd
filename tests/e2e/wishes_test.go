package e2e_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestACallersWishesAreMet(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		short := s.stack.login(t, "analysts", "ttl", "60")
		if seconds := one[int](t, s, "SELECT extract(epoch FROM expires_at - issued_at) FROM dbsts.grants WHERE id = $1", short.GrantID); seconds != 60 ||
			short.ExpiresIn > 60 || short.ExpiresIn < 50 {
			t.Errorf("ttl=60: got %d s, told %d s", seconds, short.ExpiresIn)
		}
		if long := s.stack.login(t, "dba", "ttl", "86400"); long.ExpiresIn > 900 {
			t.Errorf("ttl=86400: got %d s", long.ExpiresIn)
		}
		if bearer := s.stack.login(t, "analysts", "requested_token_type", accessToken); bearer.TokenType != "Bearer" ||
			bearer.IssuedTokenType != accessToken || !credential.MatchString(bearer.AccessToken) {
			t.Errorf("an access token: got %s, %s", bearer.TokenType, bearer.IssuedTokenType)
		}
		if resource := s.stack.login(t, "analysts", "audience", "", "resource", s.stack.url+"/db/shop"); resource.Database != "shop" {
			t.Errorf("resource: got %s", resource.Database)
		}
		reasoned := s.stack.login(t, "analysts", "reason", whim)
		if got := one[string](t, s, "SELECT reason FROM dbsts.grants WHERE id = $1", reasoned.GrantID); got != whim {
			t.Errorf("reason: got %q", got)
		}
		if got := one[string](t, s, "SELECT detail->>'stated' FROM dbsts.audit WHERE event = 'mint' AND grant_id = $1", reasoned.GrantID); got != whim {
			t.Errorf("reason in the audit trail: got %q", got)
		}
	})
}

func TestADSNIsEnoughToLogInAndToRevoke(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		for _, wish := range [][]string{{"requested_token_type", dbDSN}, {"scope", "fmt:dsn"}} {
			a := s.stack.login(t, "dba", wish...)
			if a.IssuedTokenType != dbDSN || a.AccessToken != a.DSN {
				t.Errorf("%v: got %s", wish, a.IssuedTokenType)
			}
			got, err := s.psql(t, a.AccessToken, "", "SELECT session_user, current_user")
			if want := a.Username + "|app_owner"; err != nil || got != want {
				t.Errorf("%v: got %q, %v, want %q", wish, got, err, want)
			}
			s.stack.revoke(t, a.AccessToken)
			if got, err = s.psql(t, a.AccessToken, "", "SELECT 1"); err == nil {
				t.Errorf("%v: after its end: got %q", wish, got)
			}
		}
	})
}

// As in a workflow of GitHub Actions: curl, a token with the job's claims, and a DSN for a tool that knows nothing else.
func TestAJobGetsADSNWithCurl(t *testing.T) {
	if !have(t, "curl") {
		return
	}
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, map[string]any{
			"sub": "repo:acme/shop:ref:refs/heads/main", "repository": "acme/shop", "repository_id": "4711", "ref": "refs/heads/main",
			"workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main", "run_id": "42", "event_name": "push",
		})
		arguments := []string{
			"-s", "--cacert", run.caFile, s.stack.url + "/token", "-w", "%{http_code}", "-o", "answer.json",
			"-d", "grant_type=" + tokenExchange, "-d", "subject_token_type=" + jwtToken, "--data-urlencode", "subject_token@token",
			"-d", "audience=shop", "-d", "requested_token_type=" + dbDSN,
		}
		command := exec.CommandContext(t.Context(), "curl", arguments...) //nolint:gosec // our own words
		command.Dir = t.TempDir()
		must(t, os.WriteFile(filepath.Join(command.Dir, "token"), []byte(token), 0o600))
		status, err := command.CombinedOutput()
		text, readErr := os.ReadFile(filepath.Join(command.Dir, "answer.json"))
		if err != nil || readErr != nil || string(status) != "200" {
			t.Fatalf("curl: %v, %v: %s %s", err, readErr, status, text)
		}
		run.spoken.secret(string(text))
		dsn := regexp.MustCompile(`"access_token":"([^"]+)"`).FindSubmatch(text)
		got, err := s.psql(t, string(dsn[1]), "", "INSERT INTO shop.orders VALUES (4711, 'acme', 'rope', 5); SELECT session_user")
		if err == nil || !strings.Contains(err.Error(), "row-level security") { // this rule exposes no tenant
			t.Errorf("got %q, %v", got, err)
		}
		if got, err = s.psql(t, string(dsn[1]), "", "UPDATE shop.orders SET item = 'x'; SELECT left(session_user, 6)"); err != nil || got != "dbsts_" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestTheReadmesSessionWorksAsWritten(t *testing.T) {
	if !have(t, "curl", "jq", "psql") {
		return
	}
	readme, err := os.ReadFile(root + "/README.md")
	must(t, err)
	session := regexp.MustCompile("(?s)```sh\n(.*?)```\n\n```\n(.*?)```").FindSubmatch(readme)
	if session == nil {
		t.Fatal("README.md does not begin with a session and what it shows")
	}
	anonymous := regexp.MustCompile(`dbsts_[a-z2-7]{26}`)
	want := anonymous.ReplaceAllString(strings.TrimSpace(string(session[2])), "login")
	onEach(t, func(t *testing.T, s *site) {
		dir := t.TempDir()
		must(t, os.Mkdir(dir+"/.local", 0o700))
		must(t, os.WriteFile(dir+"/.local/env", []byte(strings.Join([]string{
			"export DBSTS_URL=" + s.stack.url, "export DBSTS_ISSUER=" + s.direct, "export DBSTS_CA=" + run.caFile, "export DBSTS_TARGET=shop",
			"export PGHOST=" + s.Host, "export PGPORT=" + strconv.Itoa(s.Port), "export PGDATABASE=shop",
			"export PGSSLMODE=verify-full", "export PGSSLROOTCERT=" + s.CAFile, "",
		}, "\n")), 0o600))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		shell := exec.CommandContext(ctx, "sh", "-eu", "-c", string(session[1])) //nolint:gosec // the README's words
		shell.Dir, shell.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
		output, err := shell.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		got := anonymous.ReplaceAllString(strings.TrimSpace(string(output)), "login")
		got = regexp.MustCompile(`\n\(\d+ rows?\)$`).ReplaceAllString(got, "")
		if diff := cmp.Diff(squeeze(want), squeeze(got)); diff != "" {
			t.Errorf("what the session shows (-README +here):\n%s", diff)
		}
	})
}

// squeeze folds runs of spaces and hyphens: the width of a column is nobody's promise.
func squeeze(text string) []string {
	text = regexp.MustCompile(`-+`).ReplaceAllString(regexp.MustCompile(` +`).ReplaceAllString(text, " "), "-")
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// have tells whether this machine has the programs that a user's session needs. Where CI is set they must be there;
// elsewhere the tests that use a client of our own have to do.
func have(t *testing.T, programs ...string) bool {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Logf("passed over: %v", err)
			return false
		}
	}
	return true
}

func TestDiscoveryNamesTheEndpoints(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		var first string
		for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			a, err := s.stack.do(t.Context(), http.MethodGet, path, "", "")
			if err != nil || a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				t.Fatalf("%s: got %d, %v, %v", path, a.status, a.header, err)
			}
			for _, want := range []string{
				`"issuer":"` + s.stack.url + `"`, `"token_endpoint":"` + s.stack.url + `/token"`, `"revocation_endpoint":"` + s.stack.url + `/revoke"`,
				tokenExchange, dbPassword, dbDSN,
			} {
				if !strings.Contains(a.body, want) {
					t.Errorf("%s: no %s in %s", path, want, a.body)
				}
			}
			if first == "" {
				first = a.body
			} else if a.body != first {
				t.Errorf("the alias differs: %s", a.body)
			}
		}
	})
}
