package bench_test

import (
	"crypto"
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"dbsts/shared/config"
	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
	"dbsts/shared/policy"
	"dbsts/tests/bench"
	"dbsts/tests/shop"
)

// idle is the other side of what has nothing to be compared with.
func idle() error { return nil }

// BenchmarkPolicy decides over rules of one issuer and target. The claims meet one rule, or, among ranges, which no index
// can help to find, the last one.
func BenchmarkPolicy(b *testing.B) {
	for _, shape := range []struct{ name, match, claims string }{
		{"by group", `[{"claim":"groups","op":"has","value":"team-%d"}]`, `{"sub":"u","groups":["everyone","staff","team-7"]}`},
		{"by range", `[{"claim":"level","op":"ge","value":%d},{"claim":"level","op":"le","value":7}]`, `{"level":7}`},
	} {
		for _, size := range []struct {
			rules, decisions int
			target           string
		}{{20, 2_000, "≤ 5 µs"}, {10_000, 100, "≤ 200 µs"}} {
			set, request := rules(b, size.rules, shape.match), policy.Request{Issuer: shop.Issuer, Target: shop.Target, Claims: claims(b, shape.claims)}
			pairs := bench.Measure(b, 50, func() error {
				for range size.decisions {
					if _, err := set.Decide(request); err != nil {
						return err
					}
				}
				return nil
			}, idle, nil)
			table.Add(bench.Row{
				What: fmt.Sprintf("policy decision, %d rules %s", size.rules, shape.name), Spread: pairs.Each(size.decisions), Unit: "µs",
				Target: size.target, Beside: fmt.Sprintf("50 × %d decisions", size.decisions),
			})
		}
	}
}

func rules(b *testing.B, n int, match string) *policy.Set {
	b.Helper()
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":"rule-%05d","version":1,"effect":"allow","issuer":%q,"target":%q,"match":%s,"roles":["app_read"],"max_ttl":900,"expose":[]}`,
			i, shop.Issuer, shop.Target, fmt.Sprintf(match, i))
	}
	doc := fmt.Sprintf(`{"rules":[%s],"roles":[{"target":%q,"role":"app_read","activation":"inherit","max_ttl":3600}]}`, strings.Join(rows, ","), shop.Target)
	set, err := policy.Compile([]byte(doc))
	if err != nil {
		b.Fatal(err)
	}
	return set
}

func claims(b *testing.B, text string) map[string]any {
	b.Helper()
	var values map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		b.Fatal(err)
	}
	return values
}

// BenchmarkVerification: a whole verification by turns with the RS256 check that no verifier can do without.
func BenchmarkVerification(b *testing.B) {
	const each = 20
	verifier, err := identity.New([]config.Issuer{bench.Issuer()}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	raw := bench.Token()
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	pairs := bench.Measure(b, 200, func() error {
		for range each {
			if _, err := verifier.Verify(b.Context(), raw, identity.IDToken); err != nil {
				return err
			}
		}
		return nil
	}, func() error {
		for range each {
			digest := sha256.Sum256([]byte(raw[:dot]))
			if err := rsa.VerifyPKCS1v15(&identitytest.RSAKey().PublicKey, crypto.SHA256, digest[:], signature); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	table.Add(bench.Row{
		What: "token verification beyond the RS256 check", Spread: pairs.Beyond(each), Unit: "µs", Target: "≤ 60 µs",
		Beside: fmt.Sprintf("whole %.0f µs, check %.0f µs; 200 pairs of %d", pairs.Each(each).Value, pairs.Each(each).Value-pairs.Beyond(each).Value, each),
	})
}

// BenchmarkVerifier derives what goes to the server instead of a password; each exchange does it once.
func BenchmarkVerifier(b *testing.B) {
	const iterations = 4096
	password := strings.Repeat("a", 85) // dbsts_<26>_<52>
	pairs := bench.Measure(b, 200, func() error {
		_, err := pbkdf2.Key(sha256.New, password, make([]byte, 16), iterations, sha256.Size)
		return err
	}, idle, nil)
	table.Add(bench.Row{What: "SCRAM verifier, 4,096 iterations", Spread: pairs.Each(1), Unit: "µs", Beside: "PBKDF2 alone; in each exchange"})
}
