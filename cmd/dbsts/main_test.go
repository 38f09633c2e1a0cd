package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"dbsts/shared/config"
	"dbsts/shared/identity/identitytest"
	"dbsts/tests/shop"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// Rules beside those of the shop. The linter has something to say about each.
const moreRules = `
INSERT INTO dbsts.rules (id, issuer, target, match, roles, max_ttl) VALUES
	('deploy', 'https://token.actions.githubusercontent.com', 'shop', '[{"claim": "repository", "op": "eq", "value": "acme/shop"}, {"claim": "ref", "op": "eq", "value": "refs/heads/main"}]', '{app_write}', 900),
	('nightly', 'https://token.actions.githubusercontent.com', 'shop', '[{"claim": "repository_id", "op": "eq", "value": "5678"}]', '{app_read}', 7200),
	('slash', 'https://issuer.test/', 'shop', '[{"claim": "groups", "op": "has", "value": "analysts"}]', '{app_read}', 900),
	('pattern', 'https://issuer.test', 'shop', '[{"claim": "dept", "op": "re", "value": "(a"}]', '{app_read}', 900);
INSERT INTO dbsts.rules (id, effect, issuer, target, match) VALUES
	('leavers', 'deny', 'https://issuer.test', 'shop', '[{"claim": "groups", "op": "has", "value": "leavers"}]')`

// desk is a shop, its configuration as a file, and an operator.
type desk struct {
	*shop.Shop
	config string
}

// open makes a shop whose issuer signs with the test key.
func open(t *testing.T) desk {
	t.Helper()
	s := shop.Open(t, shop.Options{})
	if err := s.Exec(t.Context(), shop.Database, moreRules); err != nil {
		t.Fatal(err)
	}
	cfg := s.Config
	cfg.URL = "https://dbsts.example.com"
	keys := identitytest.Set(identitytest.JWK("key-1", identitytest.RSAKey().Public(), nil))
	cfg.Issuers = []config.Issuer{
		{Issuer: shop.Issuer, Audiences: []string{"dbsts"}, JWKS: keys, EndWithToken: true},
		{Issuer: "https://token.actions.githubusercontent.com", Preset: "github", Audiences: []string{"dbsts"}, JWKS: keys},
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return desk{s, file(t, "dbsts.yaml", string(text))}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dbsts runs the command line at the clock's time.
func (d desk) dbsts(t *testing.T, stdin string, args ...string) (code int, out, problems string) {
	t.Helper()
	t.Setenv("DBSTS_CONFIG", d.config)
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, terminal{strings.NewReader(stdin), &stdout, &stderr, identitytest.NewClock().Now})
	return code, stdout.String(), stderr.String()
}

// transcript collects what commands print, as a person would see it.
type transcript struct{ strings.Builder }

func (r *transcript) add(t *testing.T, d desk, title, stdin string, args ...string) {
	t.Helper()
	code, out, problems := d.dbsts(t, stdin, args...)
	_, _ = fmt.Fprintf(r, "# %s\n$ dbsts %s\n%s%sexit %d\n\n", title, strings.Join(args, " "), out, problems, code)
}

// temporary are folders and versions that differ from run to run.
var temporary = strings.NewReplacer(os.TempDir(), "/tmp")

func (r *transcript) golden(t *testing.T, name string) {
	t.Helper()
	got := temporary.Replace(r.String())
	got = regexp.MustCompile(`/tmp/[A-Za-z_]+\d+/\d+/`).ReplaceAllString(got, "")
	got = regexp.MustCompile(`(policy version |"policy_version": )\d+`).ReplaceAllString(got, "${1}7")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update accepts it):\n%s", name, diff)
	}
}

func TestAMistakeInTheCommandLineIsNoWorkDone(t *testing.T) {
	d := desk{config: "missing.yaml"}
	for _, args := range []string{
		"", "mint", "install now", "lint -server main -doc x", "lint -fix", "explain", "explain -target", "explain -target shop ey.J.x",
		"explain -target shop -ttl 0", "explain -target shop -ttl -5", "explain -target shop -ttl soon", "explain -target shop -kind saml",
		"explain -target shop -claims c.json -token t", "explain -target shop -claims c.json -kind jwt", "explain -target shop -issuer https://issuer.test",
		"explain -target shop -doc -", "explain -target shop -doc - -claims -",
	} {
		code, out, problems := d.dbsts(t, "", strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.Contains(problems, "usage:") || strings.Contains(problems, "ey.J") {
			t.Errorf("dbsts %s: exit %d\n%s%s", args, code, out, problems)
		}
	}
	for _, args := range []string{"help", "-h", "--help", "install -h", "explain -help"} {
		if code, out, problems := d.dbsts(t, "", strings.Fields(args)...); code != exitDone || out != usage || problems != "" {
			t.Errorf("dbsts %s: exit %d\n%s%s", args, code, out, problems)
		}
	}
	for args, name := range map[string]string{"mint": `"mint"`, "install now": `"now"`, "lint ey.J.x": "word of 6 characters"} {
		if _, _, problems := d.dbsts(t, "", strings.Fields(args)...); !strings.Contains(strings.TrimSuffix(problems, usage), name) {
			t.Errorf("dbsts %s does not name %s:\n%s", args, name, problems)
		}
	}
	for _, args := range []string{"install", "lint", "explain -target shop"} {
		if code, _, problems := d.dbsts(t, "", strings.Fields(args)...); code != exitFailed || !strings.Contains(problems, "missing.yaml") {
			t.Errorf("dbsts %s without a configuration: exit %d\n%s", args, code, problems)
		}
	}
}
