package clients_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	installTime = 3 * time.Minute // for some 40 small packages on a slow line
	scriptTime  = 30 * time.Second
)

func openIDClientAsks(t *testing.T) {
	l := runNode(t, documented(t, "js", "openid-client"))
	if !strings.EqualFold(l.TokenType, "N_A") || l.ExpiresIn < 1 {
		t.Errorf("got a %s for %v s", l.TokenType, l.ExpiresIn)
	}
	mustLogIn(t, l.Username, l.AccessToken)
}

func oauth4WebAPIAsks(t *testing.T) {
	recognizing := documented(t, "js", "oauth4webapi")
	l := runNode(t, recognizing)
	if !strings.EqualFold(l.TokenType, "N_A") {
		t.Errorf("with recognizedTokenTypes: got %s", l.TokenType)
	}
	mustLogIn(t, l.Username, l.AccessToken)

	plain := mustReplace(t, recognizing, "{\n  recognizedTokenTypes: { n_a: () => {} },\n}", "{}")
	bearer := mustReplace(t, plain, "audience: 'shop',", "audience: 'shop', requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',")
	l = runNode(t, bearer)
	if !strings.EqualFold(l.TokenType, "Bearer") {
		t.Errorf("asked for an access token: got %s", l.TokenType)
	}
	mustLogIn(t, l.Username, l.AccessToken)
	if _, err := node(t, plain, "ID_TOKEN="+idToken(t)); err == nil || !strings.Contains(err.Error(), "unsupported `token_type` value") {
		t.Errorf("without either, docs/clients.md says, it refuses N_A: got %v", err)
	}
}

// mustReplace changes what must be there.
func mustReplace(t *testing.T, text, from, to string) string {
	t.Helper()
	if strings.Count(text, from) != 1 {
		t.Fatalf("not there, or more than once: %s", from)
	}
	return strings.Replace(text, from, to, 1)
}

// runNode runs a documented script with a fresh token and gives its login.
func runNode(t *testing.T, script string) login {
	t.Helper()
	answer, err := node(t, script, "ID_TOKEN="+idToken(t))
	must(t, err)
	return parse(t, answer)
}

// node runs a script that leaves something in login, and gives that as JSON.
func node(t *testing.T, script string, env ...string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir() // imports are looked for beside the script
	must(t, os.Symlink(filepath.Join(packages(t), "node_modules"), filepath.Join(dir, "node_modules")))
	file := filepath.Join(dir, "script.mjs")
	must(t, os.WriteFile(file, []byte(script+"\nconsole.log(JSON.stringify(login))\n"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), scriptTime)
	defer cancel()
	command := exec.CommandContext(ctx, "node", file) //nolint:gosec // the script is from docs/clients.md
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DBSTS_URL=" + run.stack.url, "NODE_EXTRA_CA_CERTS=" + run.caFile}, env...)
	answer, err := command.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("node: %w: %s", err, exit.Stderr)
	}
	return answer, err
}

// packages gives the folder with the npm packages of node/package-lock.json. They are installed once, into
// $DBSTS_CACHE or the user's cache folder; a draft gets its name when it is complete.
func packages(t *testing.T) string {
	t.Helper()
	digest := sha256.New()
	files := []string{".npmrc", "package.json", "package-lock.json"}
	for _, name := range files {
		text, err := os.ReadFile("node/" + name)
		must(t, err)
		digest.Write(text)
	}
	cache := os.Getenv("DBSTS_CACHE")
	if cache == "" {
		home, err := os.UserCacheDir()
		must(t, err)
		cache = filepath.Join(home, "dbsts")
	}
	cache, err := filepath.Abs(cache)
	must(t, err)
	folder := filepath.Join(cache, "clients-"+hex.EncodeToString(digest.Sum(nil))[:16])
	if _, err = os.Stat(folder); err == nil {
		return folder
	}
	must(t, os.MkdirAll(cache, 0o755)) //nolint:gosec // $DBSTS_CACHE also serves database servers, which run as another user
	draft, err := os.MkdirTemp(cache, "clients-draft-")
	must(t, err)
	defer func() { _ = os.RemoveAll(draft) }()
	for _, name := range files {
		text, err := os.ReadFile("node/" + name)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(draft, name), text, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTime)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = draft
	install.Env = append(os.Environ(), "npm_config_update_notifier=false")
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v: %s", err, output)
	}
	if err := os.Rename(draft, folder); err != nil {
		if _, there := os.Stat(folder); there != nil { // nobody was quicker
			t.Fatal(err)
		}
	}
	return folder
}
