package policy_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dbsts/shared/config"
	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
	"dbsts/shared/policy"
)

// fixture is a provider: how it is configured, a token as it makes them, and the rule that the token is for.
type fixture struct {
	Rule     string              // id of an example in docs/rules.md, or
	Match    json.RawMessage     // conditions
	Issuer   map[string]any      // as in the configuration, without keys
	Kind     string              // what the token is presented as
	Header   identitytest.Object // without alg and kid
	Claims   identitytest.Object // iat, nbf and exp are set when the token is made; life is its life in seconds
	Identity string              // that the verifier finds
	Also     []variant           // other tokens that pass
	Misses   []variant           // tokens that nearly pass
}

// variant is the fixture's token with changes, and why it is refused; for a rule also the first condition that fails.
type variant struct {
	Name                string
	Set                 identitytest.Object
	Drop                []string
	Header              identitytest.Object
	Kind                string
	Age                 int // seconds since iat
	Match               json.RawMessage
	Reason, Claim, Text string
}

func TestTokensOfEveryProviderPassAndNearMissesDoNot(t *testing.T) {
	files, err := filepath.Glob("testdata/providers/*.json")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d providers, want 9 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			f := read(t, file)
			verifier := f.verifier(t)
			for _, v := range append([]variant{{Name: "the token as it comes"}}, f.Also...) {
				if token, why := f.try(t, verifier, v); why != (outcome{}) || token.Identity != f.Identity {
					t.Errorf("%s: refused: %+v, identity %q", v.Name, why, token.Identity)
				}
			}
			for _, v := range f.Misses {
				if _, why := f.try(t, verifier, v); why != (outcome{v.Reason, v.Claim, v.Text}) {
					t.Errorf("%s: %+v, want %+v", v.Name, why, outcome{v.Reason, v.Claim, v.Text})
				}
			}
		})
	}
}

// outcome says why a token is refused; zero: it is not.
type outcome struct{ reason, claim, text string }

func read(t *testing.T, file string) fixture {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if f.Rule != "" {
		f.Match = documented(t, f.Rule, f.Issuer["issuer"])
	}
	return f
}

// example is a rule of the rule reference.
type example struct {
	id, issuer, match string
	deny              bool
}

func documentedRules(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	for _, m := range regexp.MustCompile(`(?s)\('([a-z0-9-]+)', ('deny', )?'(https://[^']+)', 'shop', '(\[.*?\}\])'`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, example{id: m[1], issuer: m[3], match: m[4], deny: m[2] != ""})
	}
	if len(all) != 10 {
		t.Errorf("%d rules found in docs/rules.md, want 10", len(all))
	}
	return all
}

// documented gives the conditions of an example in the rule reference.
func documented(t *testing.T, rule string, issuer any) json.RawMessage {
	t.Helper()
	for _, e := range documentedRules(t) {
		if e.id == rule && e.issuer == issuer {
			return json.RawMessage(e.match)
		}
	}
	t.Fatalf("docs/rules.md has no rule %s for %s", rule, issuer)
	return nil
}

// verifier takes the issuer's configuration the whole way: read as a document, defaults of the preset filled in.
func (f fixture) verifier(t *testing.T) *identity.Verifier {
	t.Helper()
	issuer := maps.Clone(f.Issuer)
	issuer["jwks"] = identitytest.Set(identitytest.JWK("key-1", identitytest.RSAKey().Public(), nil))
	login := map[string]string{"password_file": "x"}
	doc := inJSON(t, map[string]any{
		"url": "https://dbsts.example", "issuers": []any{issuer},
		"servers": []any{map[string]any{
			"name": "main", "engine": "postgres", "address": "db.example:5432", "home": "shop",
			"logins": map[string]any{"exchange": login, "revoke": login, "sweep": login},
		}},
		"targets": []any{map[string]any{"name": "shop", "server": "main", "database": "shop"}},
	})
	cfg, err := config.Parse([]byte(doc), ".")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := identity.New(cfg.Issuers, identitytest.NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// try makes the variant's token, verifies it and lets the rule decide.
func (f fixture) try(t *testing.T, verifier *identity.Verifier, v variant) (identity.Token, outcome) {
	t.Helper()
	kind, match := f.Kind, f.Match
	if v.Kind != "" {
		kind = v.Kind
	}
	if v.Match != nil {
		match = v.Match
	}
	kinds := map[string]identity.Kind{"id_token": identity.IDToken, "jwt": identity.JWT, "access_token": identity.AccessToken}
	token, err := verifier.Verify(t.Context(), f.token(v), kinds[kind])
	var bad *identity.Error
	if errors.As(err, &bad) {
		return token, outcome{reason: bad.Reason}
	}
	set := given(t, rule("r", string(match)).with("issuer", token.Issuer))
	d, err := set.Decide(policy.Request{Issuer: token.Issuer, Target: target, Claims: token.Claims, Overage: token.Overage})
	why := outcome{reason: d.Reason}
	if err != nil && len(d.Trace) > 0 {
		why.claim, why.text = d.Trace[0].Failed.Claim, d.Trace[0].Failed.Reason
	}
	return token, why
}

func (f fixture) token(v variant) string {
	header := identitytest.Object{"alg": "RS256", "kid": "key-1"}
	claims := maps.Clone(f.Claims)
	maps.Copy(header, f.Header)
	maps.Copy(header, v.Header)
	maps.Copy(claims, v.Set)
	for _, name := range v.Drop {
		delete(claims, name)
	}
	age := time.Duration(v.Age) * time.Second
	if age == 0 {
		age = 10 * time.Second
	}
	life, err := claims["life"].(json.Number).Int64()
	if err != nil {
		panic(err)
	}
	delete(claims, "life")
	issued := identitytest.NewClock().Now().Add(-age).Unix()
	claims["iat"], claims["exp"] = issued, issued+life
	if _, has := claims["nbf"]; has {
		claims["nbf"] = issued
	}
	return identitytest.Signed("RS256", identitytest.RSAKey(), header.JSON(), claims.JSON())
}
