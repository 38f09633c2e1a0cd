package vectors

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"dbsts/shared/identity"
)

func TestVectors(t *testing.T) {
	unchanged, resigned, ecdsa := NewTally(t, "unchanged"), NewTally(t, "resigned"), NewTally(t, "ecdsa")
	t.Run("no token of others gets in", func(t *testing.T) { noTokenGetsIn(t, unchanged) })
	t.Run("keys and headers of others are judged as their authors say", func(t *testing.T) { keysAndHeaders(t, resigned) })
	t.Run("signatures of others are judged as their authors say", func(t *testing.T) { signaturesOnOurTokens(t, ecdsa) })
	t.Log(Sum("vectors through the whole pipeline", unchanged, resigned, ecdsa))
}

// noTokenGetsIn sends every token as it is. It carries no claims of ours, so none may be accepted; an encrypted
// one must be refused before anything of it is read.
func noTokenGetsIn(t *testing.T, tally *Tally) {
	ours := newKey(elliptic.P256())
	encrypted := 0
	for _, file := range []string{SignatureFile, KeyFile, CryptoFile, EncryptionFile, rfcFile} {
		for _, group := range groups(t, file) {
			d := newDesk(t, group.KeySet, ours)
			for _, v := range group.Vectors {
				reason := d.reason(v.Token)
				if v.JWE {
					encrypted++
					unread(t, d, v, reason)
				}
				v.Valid = false
				tally.Count(t, v, reason)
			}
		}
	}
	tally.Close(t)
	t.Logf("%d of them encrypted, all refused unread", encrypted)
	if encrypted != 173 { // 139 + 34
		t.Errorf("%d tokens are encrypted, want 173", encrypted)
	}
}

// unread fails the test unless the refusal was for the text as a whole, at the cost of no more than an error value:
// decoding or parsing would need memory.
func unread(t *testing.T, d desk, v Vector, reason string) {
	t.Helper()
	if reason != identity.ReasonTokenMalformed {
		t.Errorf("%s %d (%s) was refused as %q, want %s", v.File, v.ID, v.Comment, reason, identity.ReasonTokenMalformed)
	}
	cost := testing.AllocsPerRun(1, func() { _, _ = d.verifier.Verify(t.Context(), v.Token, identity.JWT) })
	if cost > 2 {
		t.Errorf("%s %d (%s) cost %v allocations: it was read", v.File, v.ID, v.Comment, cost)
	}
}

// keysAndHeaders signs good claims with the private keys of each group, once for each alg and kid that its tokens have.
// If one of these tokens is valid, ours must be accepted; if none is, the fault lies with the key or the header, and ours
// must be refused. What cannot be signed has no key of the right kind, such as alg none or an HMAC over a public key.
func keysAndHeaders(t *testing.T, tally *Tally) {
	ours := newKey(elliptic.P256())
	unsigned := 0
	for _, file := range []string{SignatureFile, KeyFile, CryptoFile} {
		for _, group := range groups(t, file) {
			d := newDesk(t, group.KeySet, ours)
			for _, h := range headers(group) {
				token, ok := group.sign(h, claims("alice"))
				if !ok {
					unsigned++
					continue
				}
				tally.Count(t, h.Vector, d.reason(token))
			}
		}
	}
	tally.Close(t)
	t.Logf("%d headers could not be signed", unsigned)
	if unsigned > tally.tried/2 {
		t.Error("that is too many to prove anything")
	}
}

// header is an alg and a kid, and the first vector that has them; valid if any is.
type header struct {
	Algorithm jose.SignatureAlgorithm `json:"alg"`
	KeyID     string                  `json:"kid"`
	Vector    Vector                  `json:"-"`
}

func headers(group Group) []header {
	var found []header
next:
	for _, v := range group.Vectors {
		h := header{Vector: v}
		first, _, _ := strings.Cut(v.Token, ".")
		text, err := base64.RawURLEncoding.DecodeString(first)
		if v.JWE || err != nil || json.Unmarshal(text, &h) != nil {
			continue
		}
		for i, earlier := range found {
			if earlier.Algorithm == h.Algorithm && earlier.KeyID == h.KeyID {
				found[i].Vector.Valid = earlier.Vector.Valid || v.Valid
				continue next
			}
		}
		found = append(found, h)
	}
	return found
}

// sign makes a token with the first private key of the group that can sign with this algorithm.
func (g Group) sign(h header, payload string) (string, bool) {
	for _, doc := range g.Private {
		var key jose.JSONWebKey
		if json.Unmarshal(doc, &key) != nil {
			continue
		}
		if token, err := trySign(h.Algorithm, key.Key, h.KeyID, payload); err == nil {
			return token, true
		}
	}
	return "", false
}

func groups(t *testing.T, file string) []Group {
	t.Helper()
	all, err := Groups(file)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
