package main

import (
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"testing"

	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

// spentOnce is how a token ends that was used before: the database refuses, and keeps the record itself.
var spentOnce = refusal{answer: replayed, logged: "replayed", left: touched{Asked: 1}}

// rejecting is a scene whose issuers, with their keys r (RSA) and e (P-256), take each token once.
func (a *attacks) rejecting(t *testing.T, names ...string) *scene {
	t.Helper()
	p := a.provider(t, ours(), identitytest.JWK("e", identitytest.P256Key().Public(), nil))
	first := p.Issuer()
	first.Replay = "reject"
	second := first
	second.Issuer = "https://other.example"
	return a.scene(t, rulesFor(anybody, first.Issuer, second.Issuer), first, second)
}

// replays: a token that was used before comes again, in every spelling that means the same token.
func (a *attacks) replays(t *testing.T) {
	s := a.rejecting(t)
	for name, claims := range map[string]object{"with jti": s.claims(object{"jti": "one"}), "without jti": s.claims(object{"jti": gone})} {
		t.Run("token "+name, func(t *testing.T) {
			sign := func(header string) string {
				return identitytest.Signed("ES256", identitytest.P256Key(), header, claims.JSON())
			}
			spent := sign(`{"alg":"ES256","kid":"e"}`)
			keys := len(s.ledger.spent)
			s.accepts(t, wish(spent))
			for spelling, text := range map[string]string{
				"itself":                   spent,
				"s of the signature n - s": flipped(spent),
				"another signature":        sign(`{"alg":"ES256","kid":"e"}`),
				"another header":           sign(`{ "kid":"e", "typ":"JWT", "alg":"ES256", "cty":"x" }`),
			} {
				t.Run(spelling, func(t *testing.T) { s.refuses(t, wish(text), spentOnce) })
			}
			s.refuses(t, wish(spent, "scope", "app_write", "subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), spentOnce)
			part := strings.Split(spent, ".")
			for spelling, text := range map[string]string{
				"blank before it": " " + spent, "blank after it": spent + " ", "padding": spent + "==", "padded header": part[0] + "=." + part[1] + "." + part[2],
				"unused bits": unusedBits(spent), "general JSON": object{"payload": part[1], "signatures": []object{{"protected": part[0], "signature": part[2]}}}.JSON(),
				"flattened JSON":     object{"protected": part[0], "payload": part[1], "signature": part[2]}.JSON(),
				"signature in DER":   part[0] + "." + part[1] + "." + identitytest.Encode("\x30\x06\x02\x01\x01\x02\x01\x01"),
				"a zero before r, s": part[0] + "." + part[1] + "." + identitytest.Encode("\x00") + part[2],
			} {
				reason := identity.ReasonTokenMalformed
				if strings.HasPrefix(spelling, "signature in DER") || strings.HasPrefix(spelling, "a zero") {
					reason = identity.ReasonSignatureInvalid
				}
				t.Run(spelling, func(t *testing.T) { s.refuses(t, wish(text), unproven(reason)) })
			}
			if got := len(s.ledger.spent) - keys; got != 1 {
				t.Errorf("%d keys for one token", got)
			}
		})
	}
	s.accepts(t, wish(token(s.claims(object{"jti": "two"}))))
	s.accepts(t, wish(token(s.claims(object{"jti": "one", "iss": "https://other.example"})))) // names are the issuer's own
}

// flipped is the other signature that ECDSA has for the same digest: s becomes n − s.
func flipped(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(token[at:])
	if err != nil {
		panic(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return token[:at] + base64.RawURLEncoding.EncodeToString(signature)
}

// unusedBits changes the bits of the last character that decoders ignore.
func unusedBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

// replaysAtOnce: 16 thieves, or a thief and the owner, come at the same moment. One gets in.
func (a *attacks) replaysAtOnce(t *testing.T) {
	s := a.rejecting(t)
	const thieves = 16
	form := wish(token(s.claims(nil)))
	answers := make([]answer, thieves)
	var group sync.WaitGroup
	for i := range thieves {
		group.Go(func() { answers[i] = s.post(t, form) })
	}
	group.Wait()
	got := map[string]int{}
	for _, answer := range answers {
		got[answer.Reason]++
		if answer.Reason == replayed.Reason {
			a.tried.Add(1)
			a.refused.Add(1)
			a.mustBeAlike(t, answer)
		}
	}
	if got[""] != 1 || got[replayed.Reason] != thieves-1 || len(s.ledger.minted) != 1 {
		t.Errorf("answers by reason %v, %d minted; want one and %d replayed", got, len(s.ledger.minted), thieves-1)
	}
}

// replaysAllowed is the control: where the configuration allows it, a token is good until it expires, and each use is
// on record under the same key.
func (a *attacks) replaysAllowed(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	form := wish(token(s.claims(object{"jti": gone})))
	one, two := s.accepts(t, form), s.accepts(t, form)
	if one.TokenKey != two.TokenKey || one.Replay != "allow" || one.ID == two.ID || one.Secret == two.Secret {
		t.Errorf("key %s as %s, then key %s as %s; want one key and two logins", one.TokenKey, one.ID, two.TokenKey, two.ID)
	}
}
