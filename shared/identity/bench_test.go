package identity

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"runtime"
	"strings"
	"testing"
	"time"
)

func BenchmarkVerifyRS256(b *testing.B) {
	clock := newClock()
	v := newVerifier(b, clock.Now, staticIssuer(setOf(jwkOf("r", rsaKey().Public(), nil))))
	raw := token("RS256", "r", rsaKey(), goodClaims(clock.Now()).With("groups", []string{"analysts", "developers"}).With("email", "alice@example.com"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), raw, IDToken); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareRS256 is what no verifier can save.
func BenchmarkBareRS256(b *testing.B) {
	digest := sha256.Sum256([]byte("x"))
	signature := must(rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, digest[:]))
	b.ReportAllocs()
	for b.Loop() {
		if err := rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHugeTokensCostNothing(t *testing.T) {
	clock := newClock()
	v := newVerifier(t, clock.Now, staticIssuer(setOf(jwkOf("r", rsaKey().Public(), nil))))
	for name, raw := range map[string]string{
		"5 MB": strings.Repeat("a", 5_000_000), "a million dots": strings.Repeat(".", 1_000_000),
		"5 MB payload": encode(`{"alg":"RS256"}`) + "." + strings.Repeat("A", 5_000_000) + ".AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			const runs = 50
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			for range runs {
				_, _ = v.Verify(context.Background(), raw, IDToken)
			}
			took := time.Since(start) / runs
			runtime.ReadMemStats(&after)
			if took > time.Millisecond {
				t.Errorf("took %v, want at most 1 ms", took)
			}
			if allocated := (after.TotalAlloc - before.TotalAlloc) / runs; allocated > 64<<10 {
				t.Errorf("%d bytes allocated, want at most 64 KiB", allocated)
			}
		})
	}
}
