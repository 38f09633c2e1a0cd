package vectors

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // of SHA-384
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/identity"
)

// A signature that somebody else could write differently would name one token twice. These are good signatures of our
// own, spelled in every other way that some library reads.
func TestASignatureHasOneSpelling(t *testing.T) {
	for _, s := range []scheme{{"ES256", elliptic.P256(), crypto.SHA256}, {"ES384", elliptic.P384(), crypto.SHA384}} {
		t.Run(s.alg, func(t *testing.T) { oneSpellingECDSA(t, s) })
	}
	t.Run("RS256 and PS256", oneSpellingRSA)
	t.Run("EdDSA", oneSpellingEd25519)
}

func oneSpellingECDSA(t *testing.T, scheme scheme) {
	key := newKey(scheme.curve)
	n, size := scheme.curve.Params().N, scheme.size()
	d := newDesk(t, setOf("key", key.Public()), newKey(elliptic.P256()))
	text := input(scheme.alg, "key", claims("alice"))
	r, s := scheme.sign(key, text)
	pair := func(r, s *big.Int, size int) []byte {
		return slices.Concat(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size)))
	}
	token := func(signature []byte) string { return text + "." + encode(signature) }
	plain := pair(r, s, size)
	zero, one := new(big.Int), big.NewInt(1)
	der := must(asn1.Marshal(struct{ R, S *big.Int }{r, s}))

	got := d.accepts(token(plain))
	for name, signature := range map[string][]byte{
		"ASN.1":                der,
		"r is 0":               pair(zero, s, size),
		"s is 0":               pair(r, zero, size),
		"both are 0":           pair(zero, zero, size),
		"both are 1":           pair(one, one, size),
		"r is n":               pair(n, s, size),
		"s is n":               pair(r, n, size),
		"r + n, one byte more": pair(new(big.Int).Add(r, n), s, size+1),
		"s + n, one byte more": pair(r, new(big.Int).Add(s, n), size+1),
		"n − r and n − s":      pair(new(big.Int).Sub(n, r), new(big.Int).Sub(n, s), size),
		"swapped":              pair(s, r, size),
		"leading zeros":        pair(r, s, size+1),
		"a byte more":          append(bytes.Clone(plain), 0),
		"a byte less":          plain[:len(plain)-1],
		"r only":               plain[:size],
		"twice":                slices.Concat(plain, plain),
	} {
		t.Run(name, func(t *testing.T) {
			desk{t, d.verifier}.refuses(token(signature), identity.ReasonSignatureInvalid)
		})
	}

	// (r, n − s) fits whenever (r, s) does. Nothing forbids it, so a replayed token must be known by its content.
	other := d.accepts(token(pair(r, new(big.Int).Sub(n, s), size)))
	if diff := cmp.Diff(got, other); diff != "" {
		t.Errorf("with n − s for s it is another token (-got +other):\n%s", diff)
	}
	if again := d.accepts(token(pairOf(scheme, key, text))); again.Key != got.Key {
		t.Errorf("signed again it has the key %s, want %s", again.Key, got.Key)
	}
}

func (s scheme) sign(key *ecdsa.PrivateKey, text string) (r, ss *big.Int) {
	hash := s.hash.New()
	hash.Write([]byte(text))
	r, ss, err := ecdsa.Sign(rand.Reader, key, hash.Sum(nil))
	must(r, err)
	return r, ss
}

func pairOf(scheme scheme, key *ecdsa.PrivateKey, text string) []byte {
	r, s := scheme.sign(key, text)
	size := scheme.size()
	return slices.Concat(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size)))
}

func oneSpellingRSA(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	d := newDesk(t, setOf("key", key.Public()), newKey(elliptic.P256()))
	rs, ps := input("RS256", "key", claims("alice")), input("PS256", "key", claims("alice"))
	digest := func(text string) []byte { sum := sha256.Sum256([]byte(text)); return sum[:] }
	pss := func(text string, salt int) []byte {
		return must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest(text), &rsa.PSSOptions{SaltLength: salt}))
	}
	plain := must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest(rs)))
	more := new(big.Int).Add(new(big.Int).SetBytes(plain), key.N)

	d.accepts(rs + "." + encode(plain))
	d.accepts(ps + "." + encode(pss(ps, sha256.Size))) // RFC 7518 §3.5: the salt is as long as the hash
	for name, token := range map[string]string{
		"a byte less":       rs + "." + encode(plain[1:]),
		"a leading zero":    rs + "." + encode(append([]byte{0}, plain...)),
		"n more":            rs + "." + encode(more.FillBytes(make([]byte, 257))),
		"all zeros":         rs + "." + encode(make([]byte, 256)),
		"no name of a hash": rs + "." + encode(must(rsa.SignPKCS1v15(nil, key, 0, digest(rs)))),
		"PSS as PKCS #1":    rs + "." + encode(pss(rs, sha256.Size)),
		"PKCS #1 as PSS":    ps + "." + encode(must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest(ps)))),
		"salt of 1 byte":    ps + "." + encode(pss(ps, 1)),
		"salt of 31 bytes":  ps + "." + encode(pss(ps, 31)),
		"salt of 33 bytes":  ps + "." + encode(pss(ps, 33)),
		"salt of 222 bytes": ps + "." + encode(pss(ps, 222)), // what fits into 2048 bits
	} {
		t.Run(name, func(t *testing.T) { desk{t, d.verifier}.refuses(token, identity.ReasonSignatureInvalid) })
	}
}

func oneSpellingEd25519(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(public, err)
	d := newDesk(t, setOf("key", public), newKey(elliptic.P256()))
	text := input("EdDSA", "key", claims("alice"))
	plain := ed25519.Sign(key, []byte(text))

	// The order of the base point, RFC 8032 §5.1: S and S + L satisfy the same equation.
	order, ok := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	if !ok {
		t.Fatal("L is no number")
	}
	little := bytes.Clone(plain[32:])
	slices.Reverse(little)
	more := new(big.Int).Add(new(big.Int).SetBytes(little), order).FillBytes(make([]byte, 32))
	slices.Reverse(more)

	d.accepts(text + "." + encode(plain))
	for name, signature := range map[string][]byte{
		"S + L":       slices.Concat(plain[:32], more),
		"all zeros":   make([]byte, 64),
		"a byte less": plain[:63],
		"a byte more": append(bytes.Clone(plain), 0),
	} {
		t.Run(name, func(t *testing.T) {
			desk{t, d.verifier}.refuses(text+"."+encode(signature), identity.ReasonSignatureInvalid)
		})
	}
}
