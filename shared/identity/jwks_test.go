package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"slices"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"dbsts/shared/identity/identitytest"
)

// usableOf gives the kids that can verify something, in order.
func usableOf(t *testing.T, doc string) string {
	t.Helper()
	set, err := parseKeys([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	var kids []string
	for kid, k := range set {
		kids = append(kids, kid+":"+strings.Join(k.algorithms, "+"))
	}
	slices.Sort(kids)
	return strings.Join(kids, " ")
}

func private(kid string, key any) object {
	return jwkOf(kid, key, nil)
}

func TestOnlyKeysFitToVerifyAreKept(t *testing.T) {
	r, e := rsaKey().Public(), p256Key().Public()
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	modulus := func(bits uint, exponent int) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: exponent}
	}
	offCurve := jwkOf("k", e, object{"x": jwkOf("", p256Key().Public(), nil)["y"]})
	for _, c := range []struct {
		name string
		key  object
		want string
	}{
		{"RSA", jwkOf("k", r, nil), "k:RS256+PS256"},
		{"RSA pinned to RS256", jwkOf("k", r, object{"alg": "RS256", "use": "sig"}), "k:RS256"},
		{"P-256", jwkOf("k", e, object{"key_ops": []string{"verify"}}), "k:ES256"},
		{"P-384", jwkOf("k", p384Key().Public(), nil), "k:ES384"},
		{"Ed25519", jwkOf("k", edKey().Public(), nil), "k:EdDSA"},
		{"RSA of 4096 bits", jwkOf("k", modulus(4096, 65537), nil), "k:RS256+PS256"},
		{"RSA of 2047 bits", jwkOf("k", modulus(2047, 65537), nil), ""},
		{"RSA of 1024 bits", jwkOf("k", weakRSA().Public(), nil), ""},
		{"RSA of 4097 bits", jwkOf("k", modulus(4097, 65537), nil), ""},
		{"RSA of 16384 bits", jwkOf("k", modulus(16384, 65537), nil), ""},
		{"RSA exponent 1", jwkOf("k", r, object{"e": "AQ"}), ""},
		{"RSA exponent even", jwkOf("k", modulus(2048, 65536), nil), ""},
		{"RSA exponent missing", jwkOf("k", r, object{"e": ""}), ""},
		{"P-521", jwkOf("k", p521.Public(), nil), ""},
		{"off its curve", offCurve, ""},
		{"P-256 point called P-384", jwkOf("k", e, object{"crv": "P-384"}), ""},
		{"secp256k1", jwkOf("k", e, object{"crv": "secp256k1"}), ""},
		{"X25519", jwkOf("k", edKey().Public(), object{"crv": "X25519"}), ""},
		{"symmetric", object{"kty": "oct", "kid": "k", "k": "AAAA"}, ""},
		{"no kty", object{"kid": "k"}, ""},
		{"kty unknown", object{"kid": "k", "kty": "AKP2"}, ""},
		{"kty a number", object{"kid": "k", "kty": 1}, ""},
		{"kid a number", jwkOf("", r, object{"kid": 1}), ""},
		{"use enc", jwkOf("k", r, object{"use": "enc"}), ""},
		{"use unknown", jwkOf("k", r, object{"use": "SIG"}), ""},
		{"key_ops sign only", jwkOf("k", r, object{"key_ops": []string{"sign"}}), ""},
		{"key_ops empty", jwkOf("k", r, object{"key_ops": []string{}}), ""},
		{"alg of another type", jwkOf("k", r, object{"alg": "ES256"}), ""},
		{"alg for encryption", jwkOf("k", r, object{"alg": "RSA-OAEP"}), ""},
		{"alg HS256", jwkOf("k", r, object{"alg": "HS256"}), ""},
		{"private RSA", private("k", rsaKey()), ""},
		{"private EC", private("k", p256Key()), ""},
		{"private Ed25519", private("k", edKey()), ""},
		{"private in part", jwkOf("k", r, object{"p": "AQAB"}), ""},
		{"x5c of another key", jwkOf("k", r, object{"x5c": []string{"MIIB"}}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := usableOf(t, setOf(c.key)); got != c.want {
				t.Errorf("usable: %q, want %q", got, c.want)
			}
			other := jwkOf("other", p384Key().Public(), nil)
			want := strings.TrimSpace(c.want + " other:ES384")
			if got := usableOf(t, setOf(c.key, other)); got != want {
				t.Errorf("beside another key: %q, want %q", got, want)
			}
		})
	}
}

func TestAKeyIDThatNamesTwoKeysNamesNeither(t *testing.T) {
	a, b := jwkOf("k", rsaKey().Public(), nil), jwkOf("k", foreignRSA().Public(), nil)
	enc := jwkOf("k", rsaKey().Public(), object{"use": "enc"})
	otherEnc := jwkOf("k", foreignRSA().Public(), object{"use": "enc"})
	secret := private("k", rsaKey())
	nameless, nameless2 := jwkOf("", rsaKey().Public(), nil), jwkOf("", foreignRSA().Public(), nil)
	const kept = "k:RS256+PS256"
	for _, c := range []struct {
		name string
		set  string
		want string
	}{
		{"the same twice", setOf(a, a), kept},
		{"two keys", setOf(a, b), ""},
		{"two keys, the first again", setOf(a, b, a), ""},
		{"the same for encryption", setOf(a, enc), kept},
		{"the same for encryption first", setOf(enc, a), kept},
		{"another for encryption", setOf(a, otherEnc), ""},
		{"another for encryption first", setOf(otherEnc, a), ""},
		{"its private half", setOf(a, secret), ""},
		{"its private half first", setOf(secret, a), ""},
		{"an unreadable one", setOf(a, object{"kid": "k", "kty": "RSA"}), ""},
		{"nameless beside a nameless unfit one", setOf(nameless, object{"kty": "oct", "k": "AAAA"}), ":RS256+PS256"},
		{"two nameless", setOf(nameless, nameless2), ""},
	} {
		if got := usableOf(t, c.set); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSetsThatAreNoSets(t *testing.T) {
	for _, doc := range []string{
		"", "null", "[]", "{}", `{"keys":null}`, `{"keys":{}}`, `{"keys":[]`, `{"Keys":[]}`, `{"keys":[],"keys":[]}`, "<html>", `{"keys":[]} x`,
	} {
		if set, err := parseKeys([]byte(doc)); err == nil {
			t.Errorf("%q: read as %v", doc, set)
		}
	}
}

func TestPS256TakesOneSaltLengthOnly(t *testing.T) {
	clock := newClock()
	issuer := staticIssuer(setOf(jwkOf("r", rsaKey().Public(), nil)))
	issuer.Algorithms = []string{"PS256"}
	v := newVerifier(t, clock.Now, issuer)
	input := encode(`{"alg":"PS256"}`) + "." + encode(goodClaims(clock.Now()).JSON())
	for salt, fine := range map[int]bool{rsa.PSSSaltLengthAuto: false, 20: false, 32: true, 64: false} {
		raw := input + "." + encode(string(identitytest.SignPSS(rsaKey(), input, salt)))
		if fine {
			accepts(t, v, raw, IDToken)
		} else {
			refuses(t, v, raw, ReasonSignatureInvalid)
		}
	}
}

func FuzzKeySets(f *testing.F) {
	f.Add([]byte(setOf(jwkOf("r", rsaKey().Public(), nil), jwkOf("e", p256Key().Public(), object{"use": "sig"}))))
	f.Add([]byte(setOf(jwkOf("d", edKey().Public(), object{"key_ops": []string{"verify"}, "alg": "EdDSA"}), object{"kty": "oct", "k": "AAAA"})))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"RSA","n":"AA","e":"AA"},null,1]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := parseKeys(doc)
		for kid, k := range set {
			public := jose.JSONWebKey{Key: k.public}
			if err != nil || len(k.algorithms) == 0 || !public.IsPublic() || !public.Valid() {
				t.Errorf("unfit key %q kept: %v", kid, k)
			}
		}
	})
}
