package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"dbsts/shared/edge"
)

// migrator is the use case behind a deployment.
type migrator interface {
	Migrate(ctx context.Context) (any, error)
}

// Handler serves the deployment.
type Handler struct {
	Broker migrator
	Log    *slog.Logger
}

// Handle applies migrations and routines to every server once. The event is not read: what to apply is in the binary.
// Doing it again changes nothing.
func (h Handler) Handle(ctx context.Context, _ json.RawMessage) (any, error) {
	return edge.Run(ctx, h.Log, "migrate", h.Broker.Migrate)
}
