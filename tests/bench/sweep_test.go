package bench_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/broker"
	"dbsts/tests/bench"
)

const (
	due   = 1_000
	batch = 50 // logins in one transaction, as in broker.cut
	// proof is the pause between two looks for sessions, once for each batch of up to 500 leases (broker.sweepBatch).
	proof = 2 * time.Second
)

// BenchmarkSweep ends 1,000 due grants by turns with the bare end of 1,000 such logins.
func BenchmarkSweep(b *testing.B) {
	for _, version := range bench.Versions {
		m := bench.Open(b, version)
		admin := m.Shop.Admin(b)
		sweeper := broker.NewSweeper([]broker.SweepServer{{Name: "main", Ender: m.Shop.Engine(b, m.Shop.Logins().Sweep, 2)}})
		var ratios, peaks []float64
		var beside []string
		for range 3 {
			bare := bareEnd(b, m, admin)
			ours, peak := sweep(b, m, admin, sweeper)
			ratios, peaks = append(ratios, ours.Seconds()/bare.Seconds()), append(peaks, peak)
			beside = append(beside, fmt.Sprintf("%.2f/%.2f", ours.Seconds(), bare.Seconds()))
		}
		table.Add(bench.Row{
			What: "sweep of 1,000 due grants / bare NOLOGIN and DROP", Server: m.Version(), Spread: bench.Of(ratios), Target: "≤ 2",
			Beside: strings.Join(beside, ", ") + " s, without 2 s of proof",
		})
		table.Add(bench.Row{What: "sweep of 1,000 due grants, heap above its start", Server: m.Version(), Spread: bench.Of(peaks), Unit: "MB", Target: "flat"})
	}
}

// fill mints what is to be ended.
func fill(b *testing.B, m *bench.Mint) {
	b.Helper()
	if _, err := m.Fill(b.Context(), due, bench.Visitor, lives); err != nil {
		b.Fatal(err)
	}
}

// bareEnd ends as many logins as a program would that has neither ledger nor routines, as a superuser: a statement for each
// login, 50 in one transaction, which first blocks and then, in the next, drops them.
func bareEnd(b *testing.B, m *bench.Mint, admin *pgx.Conn) time.Duration {
	b.Helper()
	fill(b, m)
	rows, err := admin.Query(b.Context(), `DELETE FROM dbsts.grants WHERE state = 'active' RETURNING login::text`)
	if err != nil {
		b.Fatal(err)
	}
	logins, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(logins) != due {
		b.Fatalf("%d logins, %v", len(logins), err)
	}
	begun := time.Now()
	for ; len(logins) > 0; logins = logins[batch:] {
		for _, statement := range []string{`ALTER ROLE "%s" NOLOGIN`, `DROP ROLE "%s"`} {
			err := pgx.BeginFunc(b.Context(), admin, func(tx pgx.Tx) error {
				for _, login := range logins[:batch] {
					if _, err := tx.Exec(b.Context(), fmt.Sprintf(statement, login)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return time.Since(begun)
}

// sweep ends due grants, and tells how long that took and how many megabytes the heap grew meanwhile.
func sweep(b *testing.B, m *bench.Mint, admin *pgx.Conn, sweeper *broker.Sweeper) (took time.Duration, peak float64) {
	b.Helper()
	fill(b, m)
	if _, err := admin.Exec(b.Context(), "UPDATE dbsts.grants SET expires_at = clock_timestamp() WHERE state = 'active'"); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	growth := make(chan float64)
	go watchHeap(ctx, growth)
	begun := time.Now()
	report, err := sweeper.Sweep(ctx)
	took = time.Since(begun) - proof
	stop()
	peak = <-growth
	if err != nil || report.Servers[0].Dropped != due {
		b.Fatalf("swept %+v, %v", report, err)
	}
	return took, peak
}

// watchHeap tells, once ctx is done, how many megabytes the heap was larger than at the start.
func watchHeap(ctx context.Context, growth chan<- float64) {
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	start, most := now.HeapAlloc, now.HeapAlloc
	for ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc)
	}
	growth <- float64(most-start) / 1e6
}
