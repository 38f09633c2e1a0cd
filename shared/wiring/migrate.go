package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"dbsts/shared/config"
	"dbsts/shared/engine/postgres"
)

// Migrator installs or renews dbsts on every server: the use case behind `dbsts install` and the migrate function.
type Migrator struct {
	config config.Config
}

// Migrate wires the migrate function.
func Migrate(_ context.Context, path string, _ *slog.Logger) (*Migrator, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	return &Migrator{config: cfg}, nil
}

// Migrate works on one server after the other and does all of them even if one fails: the answer lists what was done, the
// error what was not.
func (m *Migrator) Migrate(ctx context.Context) (any, error) {
	var done []postgres.Installation
	var failed []error
	for _, server := range m.config.Servers {
		installation, err := postgres.Install(ctx, server, m.config.Targets)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		done = append(done, installation)
	}
	return done, errors.Join(failed...)
}
