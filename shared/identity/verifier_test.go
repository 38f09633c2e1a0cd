package identity

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/config"
)

func TestGoodTokensOfEveryAlgorithmAreAccepted(t *testing.T) {
	clock := newClock()
	p := newProvider(t, setOf(
		jwkOf("r", rsaKey().Public(), nil), jwkOf("e", p256Key().Public(), nil),
		jwkOf("e3", p384Key().Public(), nil), jwkOf("ed", edKey().Public(), nil),
	))
	issuer := p.Issuer()
	issuer.Algorithms = Algorithms()
	v := newVerifier(t, clock.Now, issuer)
	for _, c := range []struct {
		alg, kid string
		key      any
	}{{"RS256", "r", rsaKey()}, {"PS256", "r", rsaKey()}, {"ES256", "e", p256Key()}, {"ES384", "e3", p384Key()}, {"EdDSA", "ed", edKey()}} {
		t.Run(c.alg, func(t *testing.T) {
			claims := goodClaims(clock.Now()).With("sid", "session-7").With("groups", []string{"a", "b"}).With("n", json.RawMessage("9007199254740993"))
			got := accepts(t, v, token(c.alg, c.kid, c.key, claims), IDToken)
			want := Token{
				Issuer: ourIssuer, Subject: "alice", Identity: "alice", SID: "session-7", Key: "jti:token-1",
				IssuedAt: clock.Now().Add(-10 * time.Second), Expires: clock.Now().Add(5 * time.Minute), Claims: got.Claims,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if got.Claims["n"] != json.Number("9007199254740993") {
				t.Errorf("number changed: %v", got.Claims["n"])
			}
		})
	}
	if n := p.Fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// static gives a verifier with one static RSA key and a bent configuration.
func static(t *testing.T, clock *clock, bend func(*config.Issuer)) *Verifier {
	t.Helper()
	issuer := staticIssuer(setOf(jwkOf("r", rsaKey().Public(), nil)))
	if bend != nil {
		bend(&issuer)
	}
	return newVerifier(t, clock.Now, issuer)
}

func TestHeadersThatAreAccepted(t *testing.T) {
	clock := newClock()
	v := static(t, clock, func(i *config.Issuer) { i.AccessTokens = true })
	claims := goodClaims(clock.Now()).With("client_id", "app").JSON()
	for _, c := range []struct {
		header string
		kind   Kind
	}{
		{`{"alg":"RS256","kid":"r"}`, IDToken},
		{`{"alg":"RS256"}`, JWT}, // the set has one key
		{`{"alg":"RS256","kid":"r","typ":"jwt","cty":"x","x5t":"y","nonce":"z"}`, JWT},
		{`{"alg":"RS256","kid":"r","typ":"application/JWT"}`, IDToken},
		{`{"alg":"RS256","kid":"r","typ":"at+jwt"}`, AccessToken},
		{`{"alg":"RS256","kid":"r","typ":"application/AT+JWT"}`, AccessToken},
	} {
		t.Run(c.header, func(t *testing.T) { accepts(t, v, signed("RS256", rsaKey(), c.header, claims), c.kind) })
	}
}

func TestClaimsThatAreAccepted(t *testing.T) {
	clock := newClock()
	now := clock.Now()
	v := static(t, clock, func(i *config.Issuer) {
		i.ExtraAudiences = []string{"userinfo"}
		i.AuthorizedParties = []string{"spa"}
	})
	good := goodClaims(now)
	for name, claims := range map[string]object{
		"audience in an array":            good.With("aud", []string{ourAudience}),
		"listed stranger and party":       good.With("aud", []string{"userinfo", ourAudience}).With("azp", "spa"),
		"party beside one audience":       good.With("azp", "spa"),
		"expired 29 s ago":                good.With("exp", now.Add(-29*time.Second).Unix()),
		"issued 60 s ahead":               good.With("iat", now.Add(60*time.Second).Unix()),
		"nbf 60 s ahead":                  good.With("nbf", now.Add(60*time.Second).Unix()),
		"an hour old":                     good.With("iat", now.Add(-time.Hour).Unix()),
		"lives a day":                     good.With("exp", now.Add(24*time.Hour-10*time.Second).Unix()),
		"fractions of a second":           good.With("iat", json.Number(fmt.Sprintf("%d.75", now.Unix()-10))),
		"no jti":                          good.Without("jti"),
		"ID by Keycloak":                  good.With("typ", "ID"),
		"ID by Cognito":                   good.With("token_use", "id"),
		"members that we do not know":     good.With("Email", "A@b").With("vot", object{"a": []any{nil, true, 1.5}}),
		"another member in another case":  good.With("GROUPS", "x").With("groups", "y"),
		"a subject of 255 bytes":          good.With("sub", strings.Repeat("x", 255)),
		"a subject beyond ASCII":          good.With("sub", "zoë|名前"),
		"a claim name in many characters": good.With("https://example.com/claims/groups", []string{"x"}),
	} {
		t.Run(name, func(t *testing.T) { accepts(t, v, token("RS256", "r", rsaKey(), claims), IDToken) })
	}
}

func TestTheIdentityIsTheConfiguredClaim(t *testing.T) {
	clock := newClock()
	claims := goodClaims(clock.Now()).With("oid", "5d").With("repository_id", 9007199254740993).With("https://x.example/id", "url").
		With("kubernetes.io", object{"serviceaccount": object{"uid": "u-1"}}).With("blank", " ").With("empty", "").With("nul", nil).
		With("half", 1.5).With("big", json.Number("1e3")).With("flag", true).With("list", []string{"a"}).With("bidi", "a\u202eb").
		With("outer", " a").With("long", strings.Repeat("x", 256)).With("damaged", json.RawMessage(`"\ud800"`)).With("line", "a\nb")
	for claim, want := range map[string]string{
		"oid": "5d", "repository_id": "9007199254740993", "https://x.example/id": "url", "/kubernetes.io/serviceaccount/uid": "u-1",
		"/list/0": "a", "blank": "", "empty": "", "nul": "", "half": "", "big": "", "flag": "", "list": "", "bidi": "", "outer": "",
		"long": "", "damaged": "", "line": "", "absent": "", "kubernetes.io/serviceaccount/uid": "",
	} {
		t.Run(claim, func(t *testing.T) {
			v := static(t, clock, func(i *config.Issuer) { i.Identity = claim })
			raw := token("RS256", "r", rsaKey(), claims)
			if name, ok := Name(decoded(t, claims), claim); name != want || ok != (want != "") {
				t.Errorf("named %q, %v; want %q", name, ok, want)
			}
			if want == "" {
				refuses(t, v, raw, ReasonIdentityMissing)
			} else if got := accepts(t, v, raw, IDToken); got.Identity != want || got.Subject != "alice" {
				t.Errorf("identity %q of %q, want %q of alice", got.Identity, got.Subject, want)
			}
		})
	}
}

// decoded are claims as a token's reader gives them.
func decoded(t *testing.T, claims object) map[string]any {
	t.Helper()
	read, err := strictObject([]byte(claims.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestTheKeyNamesTheContentOfAToken(t *testing.T) {
	clock := newClock()
	issuer := staticIssuer(setOf(jwkOf("e", p256Key().Public(), nil)))
	v := newVerifier(t, clock.Now, issuer)
	claims := goodClaims(clock.Now()).Without("jti")
	one := accepts(t, v, token("ES256", "e", p256Key(), claims), IDToken).Key
	again := accepts(t, v, token("ES256", "e", p256Key(), claims), IDToken).Key // another signature of the same payload
	long := accepts(t, v, token("ES256", "e", p256Key(), claims.With("jti", strings.Repeat("j", 256))), IDToken).Key
	if one != again || one == long || !strings.HasPrefix(one, "sha256:") || !strings.HasPrefix(long, "sha256:") || len(one) != 71 {
		t.Errorf("keys %q, %q, %q", one, again, long)
	}
}

func TestLeftOutClaimsAreReported(t *testing.T) {
	clock := newClock()
	v := static(t, clock, nil)
	good := goodClaims(clock.Now())
	entra := good.With("_claim_names", object{"groups": "src1"}).With("_claim_sources", object{"src1": object{"endpoint": "https://127.0.0.1:1/x"}})
	for _, c := range []struct {
		claims object
		want   bool
	}{{good, false}, {entra, true}, {good.With("hasgroups", true), true}, {good.With("hasgroups", "true"), true}} {
		if got := accepts(t, v, token("RS256", "r", rsaKey(), c.claims), IDToken); got.Overage != c.want {
			t.Errorf("%s: overage %v, want %v", c.claims.JSON(), got.Overage, c.want)
		}
	}
}

func TestErrorsSayNothingOfTheToken(t *testing.T) {
	for reason, sentinel := range map[string]error{ReasonSubjectInvalid: ErrInvalid, ReasonKeysUnavailable: ErrUnavailable} {
		err := error(&Error{Reason: reason, Cause: errors.New("secret"), Token: Token{Subject: "alice"}})
		if !errors.Is(err, sentinel) || err.Error() != sentinel.Error() {
			t.Errorf("%s: %v, want the text of %v", reason, err, sentinel)
		}
	}
}

func TestAnIssuerThatWouldWeakenACheckIsRefused(t *testing.T) {
	good := staticIssuer(setOf(jwkOf("r", rsaKey().Public(), nil)))
	fetched := good
	fetched.JWKS, fetched.JWKSURI = "", "https://issuer.example/keys"
	bend := func(i config.Issuer, f func(*config.Issuer)) []config.Issuer { f(&i); return []config.Issuer{i} }
	for name, issuers := range map[string][]config.Issuer{
		"no issuer":        bend(good, func(i *config.Issuer) { i.Issuer = "" }),
		"no audience":      bend(good, func(i *config.Issuer) { i.Audiences = nil }),
		"empty audience":   bend(good, func(i *config.Issuer) { i.Audiences = []string{""} }),
		"no algorithm":     bend(good, func(i *config.Issuer) { i.Algorithms = nil }),
		"none":             bend(good, func(i *config.Issuer) { i.Algorithms = []string{"none"} }),
		"HS256":            bend(good, func(i *config.Issuer) { i.Algorithms = []string{"RS256", "HS256"} }),
		"no age":           bend(good, func(i *config.Issuer) { i.MaxTokenAge = 0 }),
		"no life":          bend(good, func(i *config.Issuer) { i.MaxTokenLife = 0 }),
		"no identity":      bend(good, func(i *config.Issuer) { i.Identity = "" }),
		"no keys":          bend(good, func(i *config.Issuer) { i.JWKS = setOf() }),
		"weak key only":    bend(good, func(i *config.Issuer) { i.JWKS = setOf(jwkOf("w", weakRSA().Public(), nil)) }),
		"keys not JSON":    bend(good, func(i *config.Issuer) { i.JWKS = "{" }),
		"both sources":     bend(good, func(i *config.Issuer) { i.JWKSURI = fetched.JWKSURI }),
		"neither source":   bend(good, func(i *config.Issuer) { i.JWKS = "" }),
		"plain http":       bend(fetched, func(i *config.Issuer) { i.JWKSURI = "http://issuer.example/keys" }),
		"user info":        bend(fetched, func(i *config.Issuer) { i.JWKSURI = "https://u:p@issuer.example/keys" }),
		"no host":          bend(fetched, func(i *config.Issuer) { i.JWKSURI = "https:///keys" }),
		"CA file missing":  bend(fetched, func(i *config.Issuer) { i.CAFile = "/nonexistent/ca.pem" }),
		"CA file no PEM":   bend(fetched, func(i *config.Issuer) { i.CAFile = "verifier_test.go" }),
		"configured twice": {good, good},
	} {
		if _, err := New(issuers, time.Now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTwoIssuersDoNotShareKeysOfTheSameName(t *testing.T) {
	clock := newClock()
	ours := newProvider(t, setOf(jwkOf("k", rsaKey().Public(), nil)))
	theirs := newProvider(t, setOf(jwkOf("k", foreignRSA().Public(), nil)))
	other := theirs.Issuer()
	other.Issuer = "https://other.example"
	v := newVerifier(t, clock.Now, ours.Issuer(), other)
	if err := v.Warm(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		iss    string
		key    crypto.Signer
		reason string
	}{
		{ourIssuer, rsaKey(), ""},
		{other.Issuer, foreignRSA(), ""},
		{ourIssuer, foreignRSA(), ReasonSignatureInvalid},
		{other.Issuer, rsaKey(), ReasonSignatureInvalid},
	} {
		raw := token("RS256", "k", c.key, goodClaims(clock.Now()).With("iss", c.iss))
		if c.reason == "" {
			accepts(t, v, raw, JWT)
		} else {
			refuses(t, v, raw, c.reason)
		}
	}
	if n := ours.Fetches.Load() + theirs.Fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want one for each issuer", n)
	}
}
