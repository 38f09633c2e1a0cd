package identitytest

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	"dbsts/shared/config"
)

// Attack is a token that must be refused by the issuer of Attacked.
type Attack struct {
	Name    string // begins with its row in the threat model
	Raw     string
	Kind    string // what it is presented as, the end of a token type URI (RFC 8693 §3); empty: id_token
	Reason  string // that goes to the log
	Fetches int64  // on a verifier that has no keys yet; on a warm one no attack may cost any
	Proven  bool   // the signature is good: the refusal goes on record
}

// Row is the attack's row in the threat model.
func (a Attack) Row() int {
	number, _, _ := strings.Cut(a.Name, " ")
	return must(strconv.Atoi(number))
}

// Reasons, as package identity words them.
const (
	reasonTokenMalformed          = "token_malformed"
	reasonHeaderNotAllowed        = "header_not_allowed"
	reasonWrongTokenKind          = "wrong_token_kind"
	reasonIssuerUnknown           = "issuer_unknown"
	reasonAlgorithmNotAllowed     = "algorithm_not_allowed"
	reasonKeyUnknown              = "key_unknown"
	reasonSignatureInvalid        = "signature_invalid"
	reasonAudienceMismatch        = "audience_mismatch"
	reasonAuthorizedPartyMismatch = "authorized_party_mismatch"
	reasonTokenExpired            = "token_expired"
	reasonTokenNotYetValid        = "token_not_yet_valid"
	reasonTokenTooOld             = "token_too_old"
	reasonTokenLivesTooLong       = "token_lives_too_long"
	reasonSenderConstrained       = "sender_constrained"
	reasonSubjectInvalid          = "subject_invalid"
)

// Attacked is the issuer that the attacks are made against: its key set also holds keys that must not be used.
func Attacked(t testing.TB) (*Provider, config.Issuer) {
	t.Helper()
	p := NewProvider(t, Set(
		JWK("r", RSAKey().Public(), nil), JWK("e", P256Key().Public(), nil), JWK("e3", P384Key().Public(), nil),
		JWK("weak", WeakRSA().Public(), nil), JWK("enc", ForeignRSA().Public(), Object{"use": "enc"}),
		JWK("pinned", RSAKey().Public(), Object{"alg": "PS256"}),
		Object{"kty": "oct", "kid": "oct", "k": Encode("shared secret")},
	))
	issuer := p.Issuer()
	issuer.AccessTokens = true
	issuer.AuthorizedParties = []string{"spa"}
	return p, issuer
}

// Attacks is the whole list. Its tokens are bad for what their names say and for nothing else.
func Attacks(now time.Time) []Attack {
	a := attacker{now: now, good: GoodClaims(now)}
	var all []Attack
	for _, family := range []func() []Attack{a.algorithms, a.keys, a.issuers, a.audiences, a.times, a.kinds, a.json, a.texts} {
		all = append(all, family()...)
	}
	return all
}

// attacker makes tokens: some with a stolen look, some signed by the real key.
type attacker struct {
	now  time.Time
	good Object
}

// forged is refused without asking for keys.
func forged(name, raw, reason string) Attack { return Attack{Name: name, Raw: raw, Reason: reason} }

// tried is refused once the keys are there.
func tried(name, raw, reason string) Attack {
	return Attack{Name: name, Raw: raw, Reason: reason, Fetches: 1}
}

// bent is a token with a good signature, refused for its claims.
func (a attacker) bent(name string, claims Object, reason string) Attack {
	return Attack{Name: name, Raw: Token("RS256", "r", RSAKey(), claims), Reason: reason, Fetches: 1, Proven: true}
}

// early is a token with a good signature that is refused before the keys are asked for.
func (a attacker) early(name string, claims Object, reason string) Attack {
	return forged(name, Token("RS256", "r", RSAKey(), claims), reason)
}

// head signs good claims under another header, with the real key.
func (a attacker) head(header string) string {
	return Signed("RS256", RSAKey(), header, a.good.JSON())
}

// body signs a payload given as text, with the real key.
func (a attacker) body(payload string) string {
	return Signed("RS256", RSAKey(), `{"alg":"RS256","kid":"r"}`, payload)
}

func (a attacker) algorithms() []Attack {
	public := must(x509.MarshalPKIXPublicKey(RSAKey().Public()))
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	claims := a.good.JSON()
	good := a.body(claims)
	plain := func(alg string) string {
		return Encode(Object{"alg": alg, "typ": "JWT"}.JSON()) + "." + Encode(claims) + "."
	}
	return []Attack{
		forged("1 alg none, no signature", plain("none"), reasonTokenMalformed),
		forged("1 alg none, some signature", plain("none")+"AAAA", reasonAlgorithmNotAllowed),
		forged("1 alg nOnE", plain("nOnE")+"AAAA", reasonAlgorithmNotAllowed),
		forged("1 alg empty", plain("")+"AAAA", reasonAlgorithmNotAllowed),
		forged("1 alg missing", a.head(`{"kid":"r"}`), reasonTokenMalformed),
		forged("1 alg null", a.head(`{"alg":null,"kid":"r"}`), reasonTokenMalformed),
		forged("1 alg list", a.head(`{"alg":["RS256"],"kid":"r"}`), reasonTokenMalformed),
		forged("1 alg rs256", a.head(`{"alg":"rs256","kid":"r"}`), reasonAlgorithmNotAllowed),
		forged("1 signature cut off", good[:strings.LastIndexByte(good, '.')+1], reasonTokenMalformed),
		forged("2 HS256 with the public key as PEM", Token("HS256", "r", secret, a.good), reasonAlgorithmNotAllowed),
		forged("2 HS256 with the published secret", Token("HS256", "oct", []byte("shared secret"), a.good), reasonAlgorithmNotAllowed),
		tried("2 RS256 with the published secret", Signed("HS256", []byte("shared secret"), `{"alg":"RS256","kid":"oct"}`, claims), reasonKeyUnknown),
		forged("2 PS256 where the issuer does not use it", Token("PS256", "r", RSAKey(), a.good), reasonAlgorithmNotAllowed),
		tried("2 RS256 by a key meant for PS256", Token("RS256", "pinned", RSAKey(), a.good), reasonAlgorithmNotAllowed),
		tried("2 ES256 named on an RSA key", Token("ES256", "r", P256Key(), a.good), reasonAlgorithmNotAllowed),
		tried("2 RS256 named on an EC key", Token("RS256", "e", RSAKey(), a.good), reasonAlgorithmNotAllowed),
		tried("2 ES256 on P-384", Signed("ES384", P384Key(), `{"alg":"ES256","kid":"e3"}`, claims), reasonAlgorithmNotAllowed),
		tried("30 ECDSA of zeros", Encode(`{"alg":"ES256","kid":"e"}`)+"."+Encode(claims)+"."+Encode(strings.Repeat("\x00", 64)), reasonSignatureInvalid),
		tried("30 weak RSA key", Token("RS256", "weak", WeakRSA(), a.good), reasonKeyUnknown),
		tried("30 key for encryption", Token("RS256", "enc", ForeignRSA(), a.good), reasonKeyUnknown),
	}
}

func (a attacker) keys() []Attack {
	own := string(must(json.Marshal(JWK("r", ForeignRSA().Public(), nil))))
	claims := a.good.JSON()
	header := func(member string) string {
		return Signed("RS256", ForeignRSA(), `{"alg":"RS256","kid":"r",`+member+`}`, claims)
	}
	list := []Attack{
		forged("3 embedded jwk", header(`"jwk":`+own), reasonHeaderNotAllowed),
		forged("3 jku", header(`"jku":"https://127.0.0.1:1/keys"`), reasonHeaderNotAllowed),
		forged("3 x5u", header(`"x5u":"https://127.0.0.1:1/cert"`), reasonHeaderNotAllowed),
		forged("3 x5c", header(`"x5c":["MIIB"]`), reasonHeaderNotAllowed),
		forged("3 jwk null", header(`"jwk":null`), reasonHeaderNotAllowed),
		forged("3 crit", a.head(`{"alg":"RS256","kid":"r","crit":["exp"]}`), reasonHeaderNotAllowed),
		forged("3 b64", a.head(`{"alg":"RS256","kid":"r","b64":true}`), reasonHeaderNotAllowed),
		forged("25 zip", a.head(`{"alg":"RS256","kid":"r","zip":"DEF"}`), reasonHeaderNotAllowed),
		forged("4 kid of 129 bytes", Token("RS256", strings.Repeat("k", 129), RSAKey(), a.good), reasonHeaderNotAllowed),
		forged("4 kid a number", a.head(`{"alg":"RS256","kid":1}`), reasonHeaderNotAllowed),
		forged("4 kid empty", a.head(`{"alg":"RS256","kid":""}`), reasonHeaderNotAllowed),
		tried("4 kid missing where there are many", a.head(`{"alg":"RS256"}`), reasonKeyUnknown),
		tried("6 foreign key under our kid", Token("RS256", "r", ForeignRSA(), a.good), reasonSignatureInvalid),
		tried("27 unknown kid", Token("RS256", "r2", RSAKey(), a.good), reasonKeyUnknown),
	}
	for _, kid := range []string{"../../dev/null", "' or 1=1 --", "r\x00", "R", "r ", "https://127.0.0.1:1/"} {
		reason, cost := reasonKeyUnknown, int64(1)
		if strings.Contains(kid, "\x00") {
			reason, cost = reasonTokenMalformed, 0
		}
		list = append(list, Attack{Name: "4 kid " + kid, Raw: Token("RS256", kid, RSAKey(), a.good), Reason: reason, Fetches: cost})
	}
	return list
}

func (a attacker) issuers() []Attack {
	var list []Attack
	for _, iss := range []any{
		"", "https://issuer.example/", "https://issuer.example.evil.example", "https://evil.example/https://issuer.example",
		"https://issuer.example@evil.example", "https://ISSUER.example", "HTTPS://issuer.example", "http://issuer.example",
		"https://issuer.example:443", "https://issuerxexample", " https://issuer.example", "https://issuer.example\u200b",
		"https://169.254.169.254/latest/meta-data", "https://іssuer.example", nil, 1,
		[]string{Issuer},
		Object{"iss": Issuer},
	} {
		text := string(must(json.Marshal(iss)))
		list = append(list, a.early("5 issuer "+text, a.good.With("iss", iss), reasonIssuerUnknown))
	}
	return append(list, a.early("5 issuer missing", a.good.Without("iss"), reasonIssuerUnknown))
}
