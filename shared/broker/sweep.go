package broker

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"dbsts/shared/engine"
)

// Sizes of one sweep. A lease is shorter than the scheduler's period, so that the next sweep takes over from one that was
// killed, and longer than a batch needs.
const (
	sweepBatch    = 500
	sweepHold     = 30 * time.Second
	sweepMargin   = 12 * time.Second // a batch that is not begun by then is left for the next sweep: patience and proof need it
	sweepParallel = 8                // servers at once
)

// SweepServer is one server to sweep.
type SweepServer struct {
	Name  string
	Ender engine.Ender
}

// Sweeper is the use case behind the schedule. Safe for concurrent use; two sweeps at once share the work.
type Sweeper struct {
	servers []SweepServer
}

// NewSweeper sweeps all these servers, each with its own deadline and its own errors.
func NewSweeper(servers []SweepServer) *Sweeper { return &Sweeper{servers: servers} }

// Report is what one sweep did.
type Report struct {
	Servers []ServerReport `json:"servers"`
}

// ServerReport is what one sweep did on one server.
type ServerReport struct {
	Server    string          `json:"server"`
	Dropped   int             `json:"dropped"`
	Postponed int             `json:"postponed"`
	Findings  engine.Findings `json:"findings"`  // before this sweep ended anything
	Remaining bool            `json:"remaining"` // there was more to do than time
	Error     string          `json:"error,omitempty"`
}

// Sweep ends what is due on every server. The error says that some server could not be swept; the report is whole.
func (s *Sweeper) Sweep(ctx context.Context) (Report, error) {
	report := Report{Servers: make([]ServerReport, len(s.servers))}
	var group errgroup.Group
	group.SetLimit(sweepParallel)
	for n, server := range s.servers {
		group.Go(func() error {
			one, err := sweepServer(ctx, server)
			if err != nil {
				one.Error = err.Error()
				err = fmt.Errorf("sweep %s: %w", server.Name, err)
			}
			report.Servers[n] = one
			return err
		})
	}
	return report, group.Wait()
}

func sweepServer(ctx context.Context, server SweepServer) (ServerReport, error) {
	report := ServerReport{Server: server.Name}
	var err error
	if report.Findings, err = server.Ender.Reconcile(ctx); err != nil {
		return report, err
	}
	for {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < sweepMargin {
			report.Remaining = true
			return report, nil
		}
		leases, err := server.Ender.Lease(ctx, sweepBatch, sweepHold)
		if err != nil || len(leases) == 0 {
			return report, err
		}
		done, err := cut(ctx, server.Ender, leases)
		report.Dropped += done.dropped
		report.Postponed += done.postponed
		if err != nil {
			return report, err
		}
	}
}
