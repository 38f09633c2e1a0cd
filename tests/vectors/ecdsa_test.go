package vectors

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/sha256" // the hashes that crypto.Hash stands for
	_ "crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math/big"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"

	"dbsts/shared/identity"
)

// scheme is a curve with its hash, and how JWS calls them (RFC 7518 §3.4).
type scheme struct {
	alg   string
	curve elliptic.Curve
	hash  crypto.Hash
}

// size is the length of r, or of s, in bytes.
func (s scheme) size() int { return (s.curve.Params().N.BitLen() + 7) / 8 }

// signature is one vector: the bytes and the key they belong to.
type signature struct {
	Vector
	bytes  []byte // r and s, one after the other (IEEE P1363)
	public *ecdsa.PublicKey
}

// signaturesOnOurTokens puts each signature of Wycheproof under a token of ours, together with a key that it fits. So a
// valid one must be accepted, whatever its r and s are like. An invalid one whose r or s is out of range, or whose length
// is wrong, gets the key that would fit if it were read with less care, and must be refused. The rest is invalid for its
// own key only; there the token has that key.
func signaturesOnOurTokens(t *testing.T, tally *Tally) {
	fitted := 0
	for file, s := range map[string]scheme{
		"ecdsa_secp256r1_sha256_p1363_test.json": {"ES256", elliptic.P256(), crypto.SHA256},
		"ecdsa_secp384r1_sha384_p1363_test.json": {"ES384", elliptic.P384(), crypto.SHA384},
	} {
		ours := newKey(elliptic.P256())
		signed, forged := input(s.alg, "theirs", claims("alice")), input(s.alg, "theirs", claims("mallory"))
		for _, v := range s.signatures(t, file) {
			keys := []*ecdsa.PublicKey{v.public}
			if v.Valid || !s.canonical(v.bytes) {
				fitting := s.fitting(v.bytes, signed)
				if v.Valid && len(fitting) == 0 {
					t.Errorf("%s %d (%s): no key fits", v.File, v.ID, v.Comment)
				}
				if len(fitting) > 0 {
					keys, fitted = fitting, fitted+1
				}
			}
			for i, key := range keys {
				d := newDesk(t, setOf("theirs", key), ours)
				reason := d.reason(signed + "." + encode(v.bytes))
				if i == 0 {
					tally.Count(t, v.Vector, reason)
				} else if v.Valid != (reason == "") {
					t.Errorf("%s %d (%s): with another key %q", v.File, v.ID, v.Comment, reason)
				}
				if v.Valid {
					d.refuses(forged+"."+encode(v.bytes), identity.ReasonSignatureInvalid)
				}
			}
		}
	}
	tally.Close(t)
	t.Logf("%d of them with a key that fits", fitted)
}

// signatures reads one of Wycheproof's ECDSA files.
func (s scheme) signatures(t *testing.T, file string) []signature {
	t.Helper()
	var content struct {
		Groups []struct {
			Key struct {
				Uncompressed string `json:"uncompressed"`
			} `json:"publicKey"`
			Tests []struct {
				ID      int    `json:"tcId"`
				Comment string `json:"comment"`
				Bytes   string `json:"sig"`
				Result  string `json:"result"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	must(0, json.Unmarshal(must(fs.ReadFile(wycheproof.TestVectors, file)), &content))
	var all []signature
	for _, g := range content.Groups {
		public := must(ecdsa.ParseUncompressedPublicKey(s.curve, must(hex.DecodeString(g.Key.Uncompressed))))
		for _, test := range g.Tests {
			v := Vector{File: file, ID: test.ID, Comment: test.Comment, Valid: test.Result == "valid"}
			all = append(all, signature{v, must(hex.DecodeString(test.Bytes)), public})
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s holds no signatures", file)
	}
	return all
}

// canonical tells whether r and s have their full length and are between 1 and n − 1.
func (s scheme) canonical(sig []byte) bool {
	n := s.curve.Params().N
	a, b := halves(sig)
	return len(sig) == 2*s.size() && a.Sign() > 0 && b.Sign() > 0 && a.Cmp(n) < 0 && b.Cmp(n) < 0
}

func halves(sig []byte) (r, s *big.Int) {
	return new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
}

// fitting gives the public keys under which r and s, taken modulo n, are a signature of the message: Q = (sR − eG) / r
// for each point R whose x is r or r + n (SEC 1 §4.1.6). There is none if r or s is zero, or r is no x of a point.
func (s scheme) fitting(sig []byte, message string) []*ecdsa.PublicKey {
	params := s.curve.Params()
	a, b := halves(sig)
	a.Mod(a, params.N)
	b.Mod(b, params.N)
	if a.Sign() == 0 || b.Sign() == 0 {
		return nil
	}
	hash := s.hash.New()
	hash.Write([]byte(message))
	inverse := new(big.Int).ModInverse(a, params.N)
	e := new(big.Int).Neg(new(big.Int).SetBytes(hash.Sum(nil))) // as many bits as n has
	u1 := e.Mul(e, inverse).Mod(e, params.N)
	u2 := b.Mul(b, inverse).Mod(b, params.N)
	var keys []*ecdsa.PublicKey
	for _, x := range []*big.Int{a, new(big.Int).Add(a, params.N)} {
		y := s.ordinate(x)
		if y == nil {
			continue
		}
		//nolint:staticcheck // no package that is not deprecated adds points
		x1, y1 := s.curve.ScalarBaseMult(u1.Bytes())
		x2, y2 := s.curve.ScalarMult(x, y, u2.Bytes()) //nolint:staticcheck // as above
		qx, qy := s.curve.Add(x1, y1, x2, y2)          //nolint:staticcheck // as above
		point := slices.Concat([]byte{4}, qx.FillBytes(make([]byte, s.size())), qy.FillBytes(make([]byte, s.size())))
		keys = append(keys, must(ecdsa.ParseUncompressedPublicKey(s.curve, point)))
	}
	return keys
}

// ordinate is a y for which (x, y) lies on the curve y² = x³ − 3x + b, or nil.
func (s scheme) ordinate(x *big.Int) *big.Int {
	params := s.curve.Params()
	if x.Cmp(params.P) >= 0 {
		return nil
	}
	square := new(big.Int).Exp(x, big.NewInt(3), params.P)
	square.Sub(square, new(big.Int).Mul(big.NewInt(3), x))
	square.Add(square, params.B).Mod(square, params.P)
	return square.ModSqrt(square, params.P)
}
