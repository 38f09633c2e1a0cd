package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dbsts/tests/bench"
)

// lives is the lifetime that the shop's rule gives: longer than the benchmark.
const lives = 15 * time.Minute

// BenchmarkMintAmongTenThousand: two servers of one version take turns, one that keeps 10,000 live logins and one that
// keeps none.
func BenchmarkMintAmongTenThousand(b *testing.B) {
	const (
		live  = 10_000
		mints = 250
	)
	for _, version := range bench.Versions {
		empty, full := bench.Open(b, version), bench.Open(b, version)
		took, err := full.Fill(b.Context(), live, bench.Resident, lives)
		if err != nil {
			b.Fatal(err)
		}
		pairs := bench.Measure(b, mints, minting(b, full), minting(b, empty), func() error {
			if err := full.Clean(b.Context()); err != nil {
				return err
			}
			return empty.Clean(b.Context())
		})
		table.Add(bench.Row{
			What: "mint with 10,000 live logins / with none", Server: full.Version(), Spread: pairs.Ratio(), Target: "≤ 1.3",
			Beside: pairs.Beside("10,000", "none") + fmt.Sprintf("; filled at %.0f mints/s", live/took.Seconds()),
		})
	}
}

// minting mints one login for the visitor with each call. Making the document takes some 10 µs of it.
func minting(b *testing.B, m *bench.Mint) func() error {
	return func() error {
		doc, err := m.Document(bench.Visitor, lives)
		if err != nil {
			return err
		}
		return m.Call(context.WithoutCancel(b.Context()), doc)
	}
}
