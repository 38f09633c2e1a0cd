// Package bench measures what dbsts costs, as ratios against the bare minimum in the same run: `make bench`.
//
// It assumes that the machine is shared and noisy. So the two sides of a ratio take turns, what is told are medians, and
// beside each stand the least and the most that parts of the run gave. It prints targets and passes no verdict: no test
// fails for being slow.
package bench

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// parts is how many parts a run is cut into to tell its noise.
const parts = 5

// Warm is how many turns do not count: caches fill and plans are made.
const Warm = 10

// Pairs are the times of two sides that took turns, in order.
type Pairs struct{ Ours, Bare []time.Duration }

// Measure times both sides n times, after Warm turns that do not count. Each time the other side goes first, and after
// runs untimed when both have been; an error ends the benchmark.
func Measure(b *testing.B, n int, ours, bare, after func() error) Pairs {
	b.Helper()
	var p Pairs
	for turn := range Warm + n {
		sides := []func() error{ours, bare}
		var times [2]time.Duration
		for i := range sides {
			side := (i + turn) % len(sides)
			begun := time.Now()
			err := sides[side]()
			times[side] = time.Since(begun)
			if err != nil {
				b.Fatal(err)
			}
		}
		if after != nil {
			if err := after(); err != nil {
				b.Fatal(err)
			}
		}
		if turn >= Warm {
			p.Ours, p.Bare = append(p.Ours, times[0]), append(p.Bare, times[1])
		}
	}
	return p
}

// Ratio is the median of our times by the median of the bare ones.
func (p Pairs) Ratio() Spread {
	return p.spread(func(ours, bare time.Duration) float64 { return float64(ours) / float64(bare) })
}

// Beyond is how much longer our median takes than the bare one, in microseconds per operation, of which one timing holds
// so many.
func (p Pairs) Beyond(operations int) Spread {
	return p.spread(func(ours, bare time.Duration) float64 { return microseconds(ours-bare, operations) })
}

// Each is our median in microseconds per operation, of which one timing holds so many.
func (p Pairs) Each(operations int) Spread {
	return p.spread(func(ours, _ time.Duration) float64 { return microseconds(ours, operations) })
}

func microseconds(d time.Duration, operations int) float64 {
	return float64(d) / float64(time.Microsecond) / float64(operations)
}

func (p Pairs) spread(figure func(ours, bare time.Duration) float64) Spread {
	s := Spread{Value: figure(Quantile(p.Ours, 0.5), Quantile(p.Bare, 0.5))}
	size := max(1, len(p.Ours)/parts)
	var each []float64
	for begin := 0; begin+size <= len(p.Ours); begin += size {
		each = append(each, figure(Quantile(p.Ours[begin:begin+size], 0.5), Quantile(p.Bare[begin:begin+size], 0.5)))
	}
	s.Least, s.Most = slices.Min(each), slices.Max(each)
	return s
}

// Spread is a figure of a whole run, and the least and the most of it in parts of the run.
type Spread struct{ Value, Least, Most float64 }

// Of is the median of a few figures, and their extremes.
func Of(figures []float64) Spread {
	sorted := slices.Sorted(slices.Values(figures))
	return Spread{Value: sorted[len(sorted)/2], Least: sorted[0], Most: sorted[len(sorted)-1]}
}

// Quantile gives the time that the share q of all times stays within, by the nearest rank.
func Quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// PerSecond lets clients work side by side for a while and tells how often they were done in a second. work gets the
// client's number; an error ends the benchmark.
func PerSecond(b *testing.B, clients int, span time.Duration, work func(client int) error) float64 {
	b.Helper()
	var (
		done   atomic.Int64
		failed atomic.Pointer[error]
		group  sync.WaitGroup
	)
	begun := time.Now()
	for client := range clients {
		group.Go(func() {
			for time.Since(begun) < span && failed.Load() == nil {
				if err := work(client); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	took := time.Since(begun)
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return float64(done.Load()) / took.Seconds()
}
