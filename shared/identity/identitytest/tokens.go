// Package identitytest makes what tests of tokens need: keys, tokens good and bad, an issuer's key server, a clock, and
// the list of attacks that every door to package identity must withstand.
//
// It does not know package identity, so that that package's own tests may use it; reasons stand here as the words that
// the audit trail shows. What cannot go wrong panics.
package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// What good tokens say.
const (
	Issuer   = "https://issuer.example"
	Audience = "https://dbsts.example"
)

// Keys cost time to make, so a run makes each once.
var (
	RSAKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ForeignRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	WeakRSA    = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) }) // #nosec G403 -- the attack
	P256Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	P384Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	EdKey      = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Clock is a wall clock that moves only when told. Safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock starts at a fixed noon.
func NewClock() *Clock { return &Clock{t: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock; a negative d moves it back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// Object is a JSON object that tests bend.
type Object map[string]any

// With is a copy in which one member is added or replaced.
func (o Object) With(name string, v any) Object {
	bent := Object{}
	for n, m := range o {
		bent[n] = m
	}
	bent[name] = v
	return bent
}

// Without is a copy that lacks one member.
func (o Object) Without(name string) Object {
	bent := o.With(name, nil)
	delete(bent, name)
	return bent
}

// JSON is the object as text, members in order of their names.
func (o Object) JSON() string { return string(must(json.Marshal(o))) }

// GoodClaims are claims that every check accepts.
func GoodClaims(now time.Time) Object {
	return Object{
		"iss": Issuer, "sub": "alice", "aud": Audience, "jti": "token-1",
		"iat": now.Add(-10 * time.Second).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

// Encode is base64url without padding.
func Encode(part string) string { return base64.RawURLEncoding.EncodeToString([]byte(part)) }

// Signed makes a compact JWS of any header and payload text. Alg chooses how it is signed, whatever the header says.
func Signed(alg string, key any, header, payload string) string {
	input := Encode(header) + "." + Encode(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(alg, key, []byte(input)))
}

// Token signs claims with a plain header.
func Token(alg, kid string, key any, claims Object) string {
	return Signed(alg, key, Object{"alg": alg, "kid": kid, "typ": "JWT"}.JSON(), claims.JSON())
}

func sign(alg string, key any, input []byte) []byte {
	digest := sha256.Sum256(input)
	switch alg {
	case "RS256":
		return must(rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, digest[:])) //nolint:errcheck // a panic is the answer
	case "PS256":
		return SignPSS(key.(*rsa.PrivateKey), string(input), rsa.PSSSaltLengthEqualsHash) //nolint:errcheck // a panic is the answer
	case "ES256":
		return signEC(key.(*ecdsa.PrivateKey), digest[:], 32) //nolint:errcheck // a panic is the answer
	case "ES384":
		wide := sha512.Sum384(input)
		return signEC(key.(*ecdsa.PrivateKey), wide[:], 48) //nolint:errcheck // a panic is the answer
	case "EdDSA":
		return ed25519.Sign(key.(ed25519.PrivateKey), input) //nolint:errcheck // a panic is the answer
	case "HS256":
		mac := hmac.New(sha256.New, key.([]byte)) //nolint:errcheck // a panic is the answer
		mac.Write(input)
		return mac.Sum(nil)
	}
	panic("no such algorithm: " + alg)
}

// SignPSS signs with RSASSA-PSS and SHA-256; salt is its length in bytes, or one of rsa.PSSSaltLength….
func SignPSS(key *rsa.PrivateKey, input string, salt int) []byte {
	digest := sha256.Sum256([]byte(input))
	return must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt}))
}

func signEC(key *ecdsa.PrivateKey, digest []byte, size int) []byte {
	var r, s *big.Int
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	must(r, err)
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// JWK is the JWK of a key; extra members are added or replaced.
func JWK(kid string, key crypto.PublicKey, extra Object) Object {
	var o Object
	doc := must(jose.JSONWebKey{Key: key, KeyID: kid}.MarshalJSON())
	must(0, json.Unmarshal(doc, &o))
	for name, v := range extra {
		o[name] = v
	}
	return o
}

// Set is a JWK set (RFC 7517 §5).
func Set(keys ...Object) string { return Object{"keys": append([]Object{}, keys...)}.JSON() }
