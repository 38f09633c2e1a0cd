package identity

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"
)

// attack is a token that must be refused. The number before its name is its row in the threat model.
type attack struct {
	name    string
	raw     string
	reason  string
	fetches int64 // on a verifier that has no keys yet; on a warm one no attack may cost any
	proven  bool
	kind    Kind // IDToken if not set
}

// attacker makes tokens against the test's issuer: some with a stolen look, some signed by the real key.
type attacker struct {
	now  time.Time
	good object
}

// forged is refused without asking for keys.
func forged(name, raw, reason string) attack { return attack{name: name, raw: raw, reason: reason} }

// tried is refused once the keys are there.
func tried(name, raw, reason string) attack {
	return attack{name: name, raw: raw, reason: reason, fetches: 1}
}

// bent is a token with a good signature, refused for its claims.
func (a attacker) bent(name string, claims object, reason string) attack {
	return attack{name: name, raw: token("RS256", "r", rsaKey(), claims), reason: reason, fetches: 1, proven: true}
}

// early is a token with a good signature that is refused before the keys are asked for.
func (a attacker) early(name string, claims object, reason string) attack {
	return forged(name, token("RS256", "r", rsaKey(), claims), reason)
}

// head signs good claims under another header, with the real key.
func (a attacker) head(header string) string {
	return signed("RS256", rsaKey(), header, a.good.json())
}

// body signs a payload given as text, with the real key.
func (a attacker) body(payload string) string {
	return signed("RS256", rsaKey(), `{"alg":"RS256","kid":"r"}`, payload)
}

func TestAttacksAreRefused(t *testing.T) {
	clock := newClock()
	a := attacker{now: clock.now(), good: goodClaims(clock.now())}
	p := newProvider(t, setOf(
		jwkOf("r", rsaKey().Public(), nil), jwkOf("e", p256Key().Public(), nil), jwkOf("e3", p384Key().Public(), nil),
		jwkOf("weak", weakRSA().Public(), nil), jwkOf("enc", foreignRSA().Public(), object{"use": "enc"}),
		jwkOf("pinned", rsaKey().Public(), object{"alg": "PS256"}),
		object{"kty": "oct", "kid": "oct", "k": encode("shared secret")},
	))
	issuer := p.issuer()
	issuer.AccessTokens = true
	issuer.AuthorizedParties = []string{"spa"}
	var attacks []attack
	for _, family := range []func() []attack{a.algorithms, a.keys, a.issuers, a.audiences, a.times, a.kinds, a.json, a.texts} {
		attacks = append(attacks, family()...)
	}
	if len(attacks) < 100 {
		t.Fatalf("only %d attacks", len(attacks))
	}
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			v := newVerifier(t, clock.now, issuer)
			before := p.fetches.Load()
			attack.run(t, v)
			if got := p.fetches.Load() - before; got != attack.fetches {
				t.Errorf("%d fetches by a cold verifier, want %d", got, attack.fetches)
			}
			if err := v.Warm(context.Background()); err != nil {
				t.Fatal(err)
			}
			before = p.fetches.Load()
			attack.run(t, v)
			if got := p.fetches.Load() - before; got != 0 {
				t.Errorf("%d fetches by a warm verifier", got)
			}
		})
	}
}

func (a attack) run(t *testing.T, v *Verifier) {
	t.Helper()
	kind := a.kind
	if kind == 0 {
		kind = IDToken
	}
	got, err := v.Verify(context.Background(), a.raw, kind)
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("accepted as %q (error %v)", got.Identity, err)
	}
	if refusal.Reason != a.reason || refusal.Proven != a.proven {
		t.Errorf("refused as %s, proven %v; want %s, %v", refusal.Reason, refusal.Proven, a.reason, a.proven)
	}
	if !refusal.Proven && (refusal.Token.Subject != "" || refusal.Token.Claims != nil || refusal.Token.Key != "") {
		t.Errorf("unproven claims came out: %+v", refusal.Token)
	}
	if refusal.Proven && refusal.Token.Issuer != ourIssuer {
		t.Errorf("a proven refusal cannot be put on record: %+v", refusal.Token)
	}
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("error is %v, want ErrInvalid", err)
	}
}

func (a attacker) algorithms() []attack {
	public := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	claims := a.good.json()
	plain := func(alg string) string {
		return encode(object{"alg": alg, "typ": "JWT"}.json()) + "." + encode(claims) + "."
	}
	return []attack{
		forged("1 alg none, no signature", plain("none"), ReasonTokenMalformed),
		forged("1 alg none, some signature", plain("none")+"AAAA", ReasonAlgorithmNotAllowed),
		forged("1 alg nOnE", plain("nOnE")+"AAAA", ReasonAlgorithmNotAllowed),
		forged("1 alg empty", plain("")+"AAAA", ReasonAlgorithmNotAllowed),
		forged("1 alg missing", a.head(`{"kid":"r"}`), ReasonTokenMalformed),
		forged("1 alg null", a.head(`{"alg":null,"kid":"r"}`), ReasonTokenMalformed),
		forged("1 alg list", a.head(`{"alg":["RS256"],"kid":"r"}`), ReasonTokenMalformed),
		forged("1 alg rs256", a.head(`{"alg":"rs256","kid":"r"}`), ReasonAlgorithmNotAllowed),
		forged("1 signature cut off", strings.TrimRight(a.head(`{"alg":"RS256","kid":"r"}`), "-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), ReasonTokenMalformed),
		forged("2 HS256 with the public key as PEM", token("HS256", "r", secret, a.good), ReasonAlgorithmNotAllowed),
		forged("2 HS256 with the published secret", token("HS256", "oct", []byte("shared secret"), a.good), ReasonAlgorithmNotAllowed),
		tried("2 RS256 with the published secret", signed("HS256", []byte("shared secret"), `{"alg":"RS256","kid":"oct"}`, claims), ReasonKeyUnknown),
		forged("2 PS256 where the issuer does not use it", token("PS256", "r", rsaKey(), a.good), ReasonAlgorithmNotAllowed),
		tried("2 RS256 by a key meant for PS256", token("RS256", "pinned", rsaKey(), a.good), ReasonAlgorithmNotAllowed),
		tried("2 ES256 named on an RSA key", token("ES256", "r", p256Key(), a.good), ReasonAlgorithmNotAllowed),
		tried("2 RS256 named on an EC key", token("RS256", "e", rsaKey(), a.good), ReasonAlgorithmNotAllowed),
		tried("2 ES256 on P-384", signed("ES384", p384Key(), `{"alg":"ES256","kid":"e3"}`, claims), ReasonAlgorithmNotAllowed),
		tried("30 ECDSA of zeros", encode(`{"alg":"ES256","kid":"e"}`)+"."+encode(claims)+"."+encode(strings.Repeat("\x00", 64)), ReasonSignatureInvalid),
		tried("30 weak RSA key", token("RS256", "weak", weakRSA(), a.good), ReasonKeyUnknown),
		tried("30 key for encryption", token("RS256", "enc", foreignRSA(), a.good), ReasonKeyUnknown),
	}
}

func (a attacker) keys() []attack {
	own := string(must(json.Marshal(jwkOf("r", foreignRSA().Public(), nil))))
	claims := a.good.json()
	header := func(member string) string {
		return signed("RS256", foreignRSA(), `{"alg":"RS256","kid":"r",`+member+`}`, claims)
	}
	list := []attack{
		forged("3 embedded jwk", header(`"jwk":`+own), ReasonHeaderNotAllowed),
		forged("3 jku", header(`"jku":"https://127.0.0.1:1/keys"`), ReasonHeaderNotAllowed),
		forged("3 x5u", header(`"x5u":"https://127.0.0.1:1/cert"`), ReasonHeaderNotAllowed),
		forged("3 x5c", header(`"x5c":["MIIB"]`), ReasonHeaderNotAllowed),
		forged("3 jwk null", header(`"jwk":null`), ReasonHeaderNotAllowed),
		forged("3 crit", a.head(`{"alg":"RS256","kid":"r","crit":["exp"]}`), ReasonHeaderNotAllowed),
		forged("3 b64", a.head(`{"alg":"RS256","kid":"r","b64":true}`), ReasonHeaderNotAllowed),
		forged("25 zip", a.head(`{"alg":"RS256","kid":"r","zip":"DEF"}`), ReasonHeaderNotAllowed),
		forged("4 kid of 129 bytes", token("RS256", strings.Repeat("k", 129), rsaKey(), a.good), ReasonHeaderNotAllowed),
		forged("4 kid a number", a.head(`{"alg":"RS256","kid":1}`), ReasonHeaderNotAllowed),
		forged("4 kid empty", a.head(`{"alg":"RS256","kid":""}`), ReasonHeaderNotAllowed),
		tried("4 kid missing where there are many", a.head(`{"alg":"RS256"}`), ReasonKeyUnknown),
		tried("6 foreign key under our kid", token("RS256", "r", foreignRSA(), a.good), ReasonSignatureInvalid),
		tried("27 unknown kid", token("RS256", "r2", rsaKey(), a.good), ReasonKeyUnknown),
	}
	for _, kid := range []string{"../../dev/null", "' or 1=1 --", "r\x00", "R", "r ", "https://127.0.0.1:1/"} {
		reason, cost := ReasonKeyUnknown, int64(1)
		if strings.Contains(kid, "\x00") {
			reason, cost = ReasonTokenMalformed, 0
		}
		list = append(list, attack{name: "4 kid " + kid, raw: token("RS256", kid, rsaKey(), a.good), reason: reason, fetches: cost})
	}
	return list
}

func (a attacker) issuers() []attack {
	var list []attack
	for _, iss := range []any{
		"", "https://issuer.example/", "https://issuer.example.evil.example", "https://evil.example/https://issuer.example",
		"https://issuer.example@evil.example", "https://ISSUER.example", "HTTPS://issuer.example", "http://issuer.example",
		"https://issuer.example:443", "https://issuerxexample", " https://issuer.example", "https://issuer.example\u200b",
		"https://169.254.169.254/latest/meta-data", "https://іssuer.example", nil, 1,
		[]string{ourIssuer},
		object{"iss": ourIssuer},
	} {
		text := string(must(json.Marshal(iss)))
		list = append(list, a.early("5, 7 issuer "+text, a.good.with("iss", iss), ReasonIssuerUnknown))
	}
	return append(list, a.early("5 issuer missing", a.good.without("iss"), ReasonIssuerUnknown))
}
