package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Algorithms are the signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1) that an issuer's configuration may name.
func Algorithms() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }

// Bounds of an RSA modulus in bits: below, RFC 7518 §3.3 forbids it; above, one verification costs milliseconds.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// key is a public key that may verify signatures of certain algorithms.
type key struct {
	public     crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	algorithms []string         // those that its type and its alg member agree with
}

// keys are the usable keys of one issuer by kid. A key without a kid has the name "".
type keys map[string]key

// pick finds the key for a kid. A token without kid gets the only key, if there is just one.
func (k keys) pick(kid string) (key, bool) {
	if kid == "" && len(k) == 1 {
		for _, only := range k {
			return only, true
		}
	}
	found, ok := k[kid]
	return found, ok && kid != ""
}

// parseKeys reads a JWK set (RFC 7517 §5). Keys that are not fit to verify our tokens are left out, as §5 asks; a kid
// that names two different keys names neither. A set without keys is valid: it withdraws all.
func parseKeys(doc []byte) (keys, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &set); err != nil {
		return nil, fmt.Errorf("parse JWK set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("parse JWK set: no member keys")
	}
	usable := keys{}
	material := map[string]string{} // by kid; "" once a kid is spoilt
	for _, raw := range *set.Keys {
		c := parseKey(raw)
		if c.kid == "" && !c.fit {
			continue
		}
		first, again := material[c.kid]
		switch _, there := usable[c.kid]; {
		case again && c.material != first:
			material[c.kid] = ""
			delete(usable, c.kid)
		case c.fit && !there:
			usable[c.kid] = c.key
			fallthrough
		default:
			material[c.kid] = c.material
		}
	}
	return usable, nil
}

// jwk holds the members of a JWK that go-jose does not give out, and those that must not be there: the private
// parameters of RFC 7518 §6. A private key in a public place is no longer a secret, so its public half proves nothing.
type jwk struct {
	KeyID      string   `json:"kid"`
	Operations []string `json:"key_ops"`

	D    any `json:"d"`
	P    any `json:"p"`
	Q    any `json:"q"`
	DP   any `json:"dp"`
	DQ   any `json:"dq"`
	QI   any `json:"qi"`
	Oth  any `json:"oth"`
	K    any `json:"k"`
	Priv any `json:"priv"`
}

func (j jwk) private() bool {
	for _, parameter := range []any{j.D, j.P, j.Q, j.DP, j.DQ, j.QI, j.Oth, j.K, j.Priv} {
		if parameter != nil {
			return true
		}
	}
	return false
}

// candidate is one member of a JWK set.
type candidate struct {
	kid      string
	material string // thumbprint of the public key; empty if there is none, or if it is private
	key      key
	fit      bool // may verify our tokens
}

// parseKey reads one JWK. It is fit if it is a public key of a type and size that we use, meant for signatures. go-jose
// checks that a point is on its curve and that x5c, if there, holds the same key.
func parseKey(raw json.RawMessage) candidate {
	var members jwk
	var parsed jose.JSONWebKey
	if err := json.Unmarshal(raw, &members); err != nil {
		return candidate{}
	}
	c := candidate{kid: members.KeyID}
	if err := json.Unmarshal(raw, &parsed); err != nil || members.private() || !parsed.IsPublic() {
		return c
	}
	sum, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return c
	}
	c.material = string(sum)
	c.key = key{public: parsed.Key, algorithms: algorithmsOf(parsed.Key)}
	if parsed.Algorithm != "" {
		c.key.algorithms = slices.DeleteFunc(c.key.algorithms, func(a string) bool { return a != parsed.Algorithm })
	}
	c.fit = len(c.key.algorithms) > 0 && (parsed.Use == "" || parsed.Use == "sig") &&
		(members.Operations == nil || slices.Contains(members.Operations, "verify"))
	return c
}

// algorithmsOf gives the algorithms that a key of this type and size can verify; none if we do not use such keys.
func algorithmsOf(public crypto.PublicKey) []string {
	switch public := public.(type) {
	case *rsa.PublicKey:
		// An even exponent, or 1, makes signatures that anyone can write; so does a modulus that can be factored.
		bits := public.N.BitLen()
		if bits >= minRSABits && bits <= maxRSABits && public.E >= 3 && public.E%2 == 1 && !fingerprinted(public.N) {
			return []string{"RS256", "PS256"}
		}
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}
