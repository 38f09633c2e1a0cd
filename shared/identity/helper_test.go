package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dbsts/shared/config"
)

const (
	ourIssuer   = "https://issuer.example"
	ourAudience = "https://dbsts.example"
)

// Keys cost time to make, so a run makes each once.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	foreignRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA    = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) }) // #nosec G403 -- the attack
	p256Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey      = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clock is a wall clock that moves only when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// object is a JSON object that tests bend.
type object map[string]any

func (o object) with(name string, v any) object {
	bent := object{}
	for n, m := range o {
		bent[n] = m
	}
	bent[name] = v
	return bent
}

func (o object) without(name string) object {
	bent := o.with(name, nil)
	delete(bent, name)
	return bent
}

func (o object) json() string { return string(must(json.Marshal(o))) }

// goodClaims are claims that every check accepts.
func goodClaims(now time.Time) object {
	return object{
		"iss": ourIssuer, "sub": "alice", "aud": ourAudience, "jti": "token-1",
		"iat": now.Add(-10 * time.Second).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

func encode(part string) string { return base64.RawURLEncoding.EncodeToString([]byte(part)) }

// signed makes a compact JWS of any header and payload text.
func signed(alg string, key any, header, payload string) string {
	input := encode(header) + "." + encode(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(alg, key, []byte(input)))
}

// token signs claims with a plain header.
func token(alg, kid string, key any, claims object) string {
	return signed(alg, key, object{"alg": alg, "kid": kid, "typ": "JWT"}.json(), claims.json())
}

func sign(alg string, key any, input []byte) []byte {
	digest := sha256.Sum256(input)
	switch alg {
	case "RS256":
		return must(rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, digest[:]))
	case "PS256":
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return must(rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, digest[:], options))
	case "ES256":
		return signEC(key.(*ecdsa.PrivateKey), digest[:], 32)
	case "ES384":
		wide := sha512.Sum384(input)
		return signEC(key.(*ecdsa.PrivateKey), wide[:], 48)
	case "EdDSA":
		return ed25519.Sign(key.(ed25519.PrivateKey), input)
	case "HS256":
		mac := hmac.New(sha256.New, key.([]byte))
		mac.Write(input)
		return mac.Sum(nil)
	}
	panic("no such algorithm: " + alg)
}

func signEC(key *ecdsa.PrivateKey, digest []byte, size int) []byte {
	var r, s *big.Int
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	must(r, err)
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// jwkOf is the public JWK of a key; extra members are added or replaced.
func jwkOf(kid string, public crypto.PublicKey, extra object) object {
	var o object
	doc := must(jose.JSONWebKey{Key: public, KeyID: kid}.MarshalJSON())
	must(0, json.Unmarshal(doc, &o))
	for name, v := range extra {
		o[name] = v
	}
	return o
}

func setOf(keys ...object) string { return object{"keys": append([]object{}, keys...)}.json() }

// provider is an issuer's key server on loopback. It counts fetches.
type provider struct {
	*httptest.Server
	fetches atomic.Int64
	handler atomic.Pointer[http.HandlerFunc]
	caFile  string
}

// newProvider serves a key set over HTTPS.
func newProvider(t testing.TB, keySet string) *provider {
	t.Helper()
	return newProviderWith(t, keySet, nil)
}

// newProviderWith does so under TLS settings of its own; nil works.
func newProviderWith(t testing.TB, keySet string, settings *tls.Config) *provider {
	t.Helper()
	p := &provider{}
	p.serve(keySet)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		(*p.handler.Load())(w, r)
	}))
	p.TLS = settings
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	p.caFile = filepath.Join(t.TempDir(), "ca.pem")
	doc := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(p.caFile, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// serve changes the key set.
func (p *provider) serve(keySet string) {
	p.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySet)) })
}

// answer changes how the server answers.
func (p *provider) answer(h http.HandlerFunc) { p.handler.Store(&h) }

// fail makes the server answer 500.
func (p *provider) fail() {
	p.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}

// issuer is the configuration that trusts this server, all defaults filled in.
func (p *provider) issuer() config.Issuer {
	return config.Issuer{
		Issuer: ourIssuer, Audiences: []string{ourAudience}, Algorithms: []string{"RS256", "ES256"},
		JWKSURI: p.URL + "/keys", CAFile: p.caFile, Private: true,
		MaxTokenAge: time.Hour, MaxTokenLife: 24 * time.Hour, Identity: "sub",
	}
}

func newVerifier(t testing.TB, now func() time.Time, issuers ...config.Issuer) *Verifier {
	t.Helper()
	v, err := New(issuers, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepts fails the test unless the token verifies.
func accepts(t *testing.T, v *Verifier, raw string, kind Kind) Token {
	t.Helper()
	got, err := v.Verify(context.Background(), raw, kind)
	if err != nil {
		t.Fatalf("refused: %v (%s)", err, reasonOf(err))
	}
	return got
}

// refuses fails the test unless the token is refused for this reason.
func refuses(t *testing.T, v *Verifier, raw string, reason string) {
	t.Helper()
	got, err := v.Verify(context.Background(), raw, IDToken)
	if err == nil {
		t.Fatalf("accepted as %q, want %s", got.Identity, reason)
	}
	if reasonOf(err) != reason {
		t.Fatalf("refused as %s, want %s", reasonOf(err), reason)
	}
}

func reasonOf(err error) string {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return "no identity.Error"
}

func signPSS(input string, salt int) []byte {
	digest := sha256.Sum256([]byte(input))
	if salt == 0 {
		salt = rsa.PSSSaltLengthAuto // of a signer: as long as fits
	}
	return must(rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt}))
}
