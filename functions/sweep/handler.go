package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"dbsts/shared/broker"
	"dbsts/shared/edge"
)

// sweeper is the use case behind the schedule.
type sweeper interface {
	Sweep(ctx context.Context) (broker.Report, error)
}

// Handler serves the scheduler.
type Handler struct {
	Broker sweeper
	Log    *slog.Logger
}

// Handle sweeps once. The event is not read: the scheduler delivers at least once, late or twice, and the database alone
// knows what is due. An error means that something due was left; the next tick heals it.
func (h Handler) Handle(ctx context.Context, _ json.RawMessage) (broker.Report, error) {
	return edge.Run(ctx, h.Log, "sweep", h.Broker.Sweep)
}
