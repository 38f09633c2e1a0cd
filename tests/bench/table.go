package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// Row is one line of the table.
type Row struct {
	What   string
	Server string // PostgreSQL's version; empty where none takes part
	Spread
	Unit   string // empty: a ratio
	Target string // as in the design; empty: for information
	Beside string // the absolute figures behind it
}

// Table collects rows and prints them. Safe for concurrent use.
type Table struct {
	mu   sync.Mutex
	rows []Row
}

// Add takes one row.
func (t *Table) Add(r Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// Main runs a package's benchmarks and then prints their table, for its TestMain: os.Exit(bench.Main(m, &table)).
func Main(m *testing.M, t *Table) int {
	code := m.Run()
	if len(t.rows) > 0 {
		t.write(os.Stdout)
	}
	return code
}

func (t *Table) write(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\n%s, %s/%s, %d cores, servers durable (fsync on), client and server on one machine\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer func() { _ = columns.Flush() }()
	_, _ = fmt.Fprintln(columns, "what\tPostgreSQL\tmeasured\ttarget\tnoise\tbehind it")
	for _, r := range t.rows {
		server := r.Server
		if server == "" {
			server = "-"
		}
		target := r.Target
		if target == "" {
			target = "-"
		}
		_, _ = fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%.3g to %.3g\t%s\n",
			r.What, server, fmt.Sprintf("%.3g %s", r.Value, r.Unit), target, r.Least, r.Most, r.Beside)
	}
	_, _ = fmt.Fprintln(columns)
}

// Beside tells the times behind a ratio: median, ninth decile and least of both sides.
func (p Pairs) Beside(ours, bare string) string {
	return fmt.Sprintf("%s %s, %s %s; %d pairs", ours, summary(p.Ours), bare, summary(p.Bare), len(p.Ours))
}

func summary(times []time.Duration) string {
	ms := func(q float64) float64 { return float64(Quantile(times, q)) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %.2f p90 %.2f min %.2f ms", ms(0.5), ms(0.9), ms(0))
}
