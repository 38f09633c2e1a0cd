package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"dbsts/shared/identity/identitytest"
	"dbsts/tests/shop"
)

type object = identitytest.Object

// person is a token of the shop's issuer for somebody with these groups.
func person(groups ...string) object {
	now := identitytest.NewClock().Now()
	return object{
		"iss": shop.Issuer, "aud": "dbsts", "sub": "ada", "jti": "j1", "sid": "s1", "tenant": "acme", "groups": groups,
		"iat": now.Add(-10 * time.Second).Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
}

func signed(claims object) string {
	return identitytest.Token("RS256", "key-1", identitytest.RSAKey(), claims) + "\n"
}

func TestOperatorsAskTheRealRules(t *testing.T) {
	d := open(t)
	before := d.ledger(t)
	t.Run("explain", func(t *testing.T) { explains(t, d) })
	t.Run("what explain could not do", func(t *testing.T) { explainFails(t, d) })
	t.Run("lint", func(t *testing.T) { lints(t, d) })
	t.Run("lint as an auditor", func(t *testing.T) { lintsAsAuditor(t, d) })
	if after := d.ledger(t); after != before {
		t.Errorf("the ledger has changed: %s, then %s", before, after)
	}
}

// ledger counts what exchanges leave behind.
func (d desk) ledger(t *testing.T) (counts string) {
	t.Helper()
	err := d.Admin(t).QueryRow(t.Context(), `SELECT concat_ws(' ', (SELECT count(*) FROM dbsts.grants), (SELECT count(*) FROM dbsts.replays),
		(SELECT count(*) FROM dbsts.audit), (SELECT count(*) FROM pg_roles))`).Scan(&counts)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func explains(t *testing.T, d desk) {
	var r transcript
	shopToken := func(title string, claims object, args ...string) {
		r.add(t, d, title, signed(claims), append([]string{"explain", "-target", "shop"}, args...)...)
	}
	shopToken("the default roles of two rules", person("analysts", "engineers"))
	shopToken("one role, for a minute", person("engineers"), "-role", "app_read", "-ttl", "60", "-kind", "jwt")
	shopToken("a role of another rule", person("analysts"), "-role", "app_write")
	shopToken("roles that do not mix", person("analysts", "dba"))
	shopToken("no rule", person("cooks"))
	shopToken("a deny rule", person("analysts", "leavers"))
	shopToken("groups left out", person("analysts").With("_claim_names", object{"groups": "src1"}).With("_claim_sources", object{"src1": object{"endpoint": "https://x.test"}}))
	shopToken("less than half a minute left of the token", person("analysts").With("exp", identitytest.NewClock().Now().Add(20*time.Second).Unix()))
	shopToken("a lifetime too short", person("analysts"), "-ttl", "29")
	r.add(t, d, "a target that nobody has configured", signed(person("analysts")), "explain", "-target", "crm")
	shopToken("a token for somebody else", person("analysts").With("aud", []string{"crm", "line\nbreak \x1b[2J\u202e"}))
	shopToken("a token of another issuer", person("analysts").With("iss", "https://issuer.test/"))
	shopToken("a token that names its client", person("analysts").With("azp", "spa"))
	shopToken("a token that is too old", person("analysts").With("iat", identitytest.NewClock().Now().Add(-2*time.Hour).Unix()))
	shopToken("an ID token as access token", person("analysts"), "-kind", "access_token")
	r.add(t, d, "a signature that is not the issuer's", identitytest.Token("RS256", "key-1", identitytest.ForeignRSA(), person("analysts")), "explain", "-target", "shop")
	r.add(t, d, "no token at all", "let me in", "explain", "-target", "shop")
	r.add(t, d, "claims", `{"sub": "repo:acme@1234/shop@5678:ref:refs/heads/main", "repository_id": "5678", "repository": "acme/shop", "ref": "refs/heads/dev"}`,
		"explain", "-target", "shop", "-claims", "-", "-issuer", "https://token.actions.githubusercontent.com")
	r.add(t, d, "claims without what identifies", `{"iss": "https://token.actions.githubusercontent.com", "sub": "x"}`, "explain", "-target", "shop", "-claims", "-")
	r.add(t, d, "claims of nobody's", `{"iss": "https://evil.example/\u001b[2J"}`, "explain", "-target", "shop", "-claims", "-")
	doc := file(t, "policy.json", `{"roles": [{"target": "shop", "role": "app_read", "activation": "inherit", "max_ttl": 3600}], "rules": [
		{"id": "draft", "version": 1, "effect": "allow", "issuer": "https://issuer.test", "target": "shop", "roles": ["app_read"], "max_ttl": 900, "identity": "/acme/person",
		"match": [{"claim": "groups", "op": "has", "value": "cooks"}]}]}`)
	shopToken("a rule that is not written yet", person("cooks").With("acme", object{"person": 4711}), "-doc", doc)
	shopToken("a rule that names an identity that is not there", person("cooks"), "-doc", doc)
	shopToken("for programs", person("analysts"), "-json")
	shopToken("a refusal for programs", person("cooks"), "-json", "-role", "app_read", "-ttl", "300")
	shopToken("a bad token for programs", person("analysts").With("aud", "crm\u009b2J\u202e\U000e0001"), "-json")
	for _, claims := range []object{person("analysts"), person("cooks")} {
		for _, part := range strings.Split(strings.TrimSpace(signed(claims)), ".")[1:] {
			if strings.Contains(r.String(), part) {
				t.Errorf("a part of a token is shown: %s", part)
			}
		}
	}
	r.golden(t, "explain.golden")
}

func explainFails(t *testing.T, d desk) {
	var r transcript
	token := signed(person("analysts"))
	r.add(t, d, "nothing on standard input", "\n", "explain", "-target", "shop")
	r.add(t, d, "no such file", "", "explain", "-target", "shop", "-token", "nowhere")
	r.add(t, d, "claims that are none", `["sub"]`, "explain", "-target", "shop", "-claims", "-")
	r.add(t, d, "a document that is none", token, "explain", "-target", "shop", "-doc", file(t, "policy.json", `{"rules": []}`))
	r.add(t, d, "too much", strings.Repeat("x", maxToken+1), "explain", "-target", "shop")
	r.golden(t, "fails.golden")
	for what, pattern := range map[string]*regexp.Regexp{
		"database unavailable":                         regexp.MustCompile(regexp.QuoteMeta(d.Address())),
		"signing keys of the issuer are not available": regexp.MustCompile(`jwks: .*`),
	} {
		dead := d
		cfg := pattern.ReplaceAllStringFunc(readAll(t, d.config), func(old string) string {
			if strings.HasPrefix(old, "jwks") {
				return "jwks_uri: https://127.0.0.1:1/keys"
			}
			return "127.0.0.1:1"
		})
		dead.config = file(t, "dbsts.yaml", cfg)
		if code, out, problems := dead.dbsts(t, token, "explain", "-target", "shop"); code != exitFailed || out != "" || !strings.Contains(problems, what) {
			t.Errorf("%s: exit %d\n%s%s", what, code, out, problems)
		}
	}
}

func lints(t *testing.T, d desk) {
	var r transcript
	r.add(t, d, "all servers", "", "lint")
	r.add(t, d, "one server, for programs", "", "lint", "-server", "main", "-json")
	r.add(t, d, "no such server", "", "lint", "-server", "second")
	r.add(t, d, "a document with nothing wrong", `{"roles": [], "rules": []}`, "lint", "-doc", "-")
	r.add(t, d, "a document for programs", `{"roles": [], "rules": []}`, "lint", "-doc", "-", "-json")
	r.golden(t, "lint.golden")
}

// lintsAsAuditor goes the way of the rule reference, for those who do not have the deployment's secrets.
func lintsAsAuditor(t *testing.T, d desk) {
	statement := regexp.MustCompile("(?s)```sql\n(SELECT jsonb_build_object\\(.*?)```").FindStringSubmatch(readAll(t, "../../docs/rules.md"))
	if statement == nil {
		t.Fatal("docs/rules.md does not say how an auditor reads the rules")
	}
	conn := d.Admin(t)
	if _, err := conn.Exec(t.Context(), "SET ROLE dbsts_auditor"); err != nil {
		t.Fatal(err)
	}
	var doc string
	if err := conn.QueryRow(t.Context(), statement[1]).Scan(&doc); err != nil {
		t.Fatal(err)
	}
	findings := func(stdin string, args ...string) any {
		code, out, problems := d.dbsts(t, stdin, append([]string{"lint", "-json"}, args...)...)
		var books []struct{ Findings any }
		if err := json.Unmarshal([]byte(out), &books); err != nil || code != exitRefused || len(books) != 1 {
			t.Fatalf("exit %d, %v\n%s%s", code, err, out, problems)
		}
		text, err := json.Marshal(books[0].Findings)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if mine, theirs := findings(doc, "-doc", "-"), findings(""); mine != theirs {
		t.Errorf("the auditor sees\n%s\nthe exchange function's login\n%s", mine, theirs)
	}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
