package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMutatedTokens holds that no text but the signed one verifies. The seeds are that text's other spellings.
func FuzzMutatedTokens(f *testing.F) {
	clock := newClock()
	issuer := staticIssuer(setOf(jwkOf("e", p256Key().Public(), nil)))
	v := newVerifier(f, clock.Now, issuer)
	good := token("ES256", "e", p256Key(), goodClaims(clock.Now()))
	if _, err := v.Verify(context.Background(), good, IDToken); err != nil {
		f.Fatal(err)
	}
	part := strings.Split(good, ".")
	f.Add(0, []byte("."), []byte("."))
	f.Add(len(good), []byte(nil), []byte("\n"))
	f.Add(len(good), []byte(nil), []byte("=="))
	f.Add(0, []byte(nil), []byte(" "))
	f.Add(len(part[0]), []byte(part[0]), []byte(encode(`{"alg":"none"}`)))
	f.Add(len(good), []byte(part[2]), []byte(encode(strings.Repeat("\x00", 64))))
	f.Fuzz(func(t *testing.T, at int, cut, put []byte) {
		// Replace what ends at a place by other bytes: one edit reaches every text.
		end := min(max(at, 0), len(good))
		start := max(end-len(cut), 0)
		mutated := good[:start] + string(put) + good[end:]
		if _, err := v.Verify(context.Background(), mutated, IDToken); err == nil && mutated != good {
			t.Errorf("verified: %q", mutated)
		}
	})
}

// FuzzParse holds that a text that is read has one spelling only, and that what comes out is what encoding/json reads.
func FuzzParse(f *testing.F) {
	for _, payload := range []string{
		`{"iss":"https://issuer.example","aud":["a","b"],"exp":1.5e9,"x":{"y":[null,true,"\u00e9"]}}`, `{"a":1,"a":2}`, `{"sub":"u","Sub":"v"}`, `{"a":"\u0000"}`, `{} {}`, "\ufeff{}", `{"a":1e999}`,
	} {
		f.Add(`{"alg":"RS256","kid":"r","typ":"JWT"}`, payload, "c2ln")
	}
	f.Add(`{"alg":"RS256","alg":"none"}`, `{}`, "c2l=")
	f.Fuzz(func(t *testing.T, header, payload, signature string) {
		raw := encode(header) + "." + encode(payload) + "." + signature
		p, refusal := parse(raw)
		if refusal != nil {
			if refusal.Proven || p.claims != nil {
				t.Errorf("a refusal gave claims: %v", p)
			}
			return
		}
		plain, err := base64.RawURLEncoding.Strict().DecodeString(signature)
		if err != nil || base64.RawURLEncoding.EncodeToString(plain) != signature || !utf8.ValidString(payload) {
			t.Errorf("another spelling was read: %q", raw)
		}
		var other map[string]any
		decoder := json.NewDecoder(strings.NewReader(payload))
		decoder.UseNumber()
		if err := decoder.Decode(&other); err != nil {
			t.Fatalf("encoding/json cannot read %q: %v", payload, err)
		}
		if got, want := must(json.Marshal(p.claims)), must(json.Marshal(other)); string(got) != string(want) {
			t.Errorf("read %s, encoding/json reads %s", got, want)
		}
	})
}
