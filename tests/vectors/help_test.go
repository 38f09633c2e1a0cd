package vectors

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dbsts/shared/config"
	"dbsts/shared/identity"
)

const (
	issuer   = "https://issuer.example"
	audience = "https://dbsts.example"
	ourKey   = "ours" // kid of a key that each issuer has beside the vectors' keys
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// claims are such that every check accepts them.
func claims(subject string) string {
	return string(must(json.Marshal(map[string]any{
		"iss": issuer, "sub": subject, "aud": audience, "iat": noon().Unix() - 10, "exp": noon().Unix() + 300,
	})))
}

// desk is the whole pipeline of one issuer: every algorithm that one can configure, a fixed set of keys.
type desk struct {
	t        *testing.T
	verifier *identity.Verifier
}

// newDesk trusts the keys of a JWK set, and ours: so it is never without a key, and can show that it works.
func newDesk(t *testing.T, keySet string, ours *ecdsa.PrivateKey) desk {
	t.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	must(0, json.Unmarshal([]byte(keySet), &set))
	set.Keys = append(set.Keys, jwk(ourKey, ours.Public()))
	verifier, err := identity.New([]config.Issuer{{
		Issuer: issuer, Audiences: []string{audience}, Algorithms: identity.Algorithms(), JWKS: string(must(json.Marshal(set))),
		MaxTokenAge: time.Hour, MaxTokenLife: time.Hour, Identity: "sub",
	}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	d := desk{t, verifier}
	d.accepts(sign(jose.ES256, ours, ourKey, claims("alice")))
	return d
}

// reason is why the token is refused, or "". Nothing but identity.ErrInvalid may happen to a token here.
func (d desk) reason(token string) string {
	d.t.Helper()
	_, err := d.verifier.Verify(context.Background(), token, identity.JWT)
	var refusal *identity.Error
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &refusal) || !errors.Is(err, identity.ErrInvalid) || refusal.Proven && refusal.Token.Claims == nil:
		d.t.Fatalf("refused in a way that is not foreseen: %v", err)
	}
	return refusal.Reason
}

func (d desk) accepts(token string) identity.Token {
	d.t.Helper()
	got, err := d.verifier.Verify(context.Background(), token, identity.JWT)
	if err != nil {
		d.t.Fatalf("refused as %s, want it accepted", d.reason(token))
	}
	return got
}

func (d desk) refuses(token, reason string) {
	d.t.Helper()
	if got := d.reason(token); got != reason {
		d.t.Errorf("refused as %q, want %s", got, reason)
	}
}

// sign panics when the key cannot sign with this algorithm.
func sign(alg jose.SignatureAlgorithm, key any, kid, payload string) string {
	return must(trySign(alg, key, kid, payload))
}

func trySign(alg jose.SignatureAlgorithm, key any, kid, payload string) (string, error) {
	options := &jose.SignerOptions{}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options.WithHeader("kid", kid))
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// input is what a token with this header and payload signs.
func input(alg, kid, payload string) string {
	header := string(must(json.Marshal(map[string]string{"alg": alg, "kid": kid})))
	return encode([]byte(header)) + "." + encode([]byte(payload))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is a public key's JWK.
func jwk(kid string, public crypto.PublicKey) json.RawMessage {
	return must(jose.JSONWebKey{Key: public, KeyID: kid}.MarshalJSON())
}

// setOf is a JWK set of one public key.
func setOf(kid string, public crypto.PublicKey) string {
	return string(slices.Concat([]byte(`{"keys":[`), jwk(kid, public), []byte(`]}`)))
}

func newKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(curve, rand.Reader))
}
