// Package e2e shows the whole way from a token to a dead login: the built functions under the Runtime API, behind the
// HTTPS gateway of the local stack, with its issuer, on real PostgreSQL servers.
//
// What it exports is for other tests that break things: what must hold in ledger and catalog whatever was killed, and when.
package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

//go:embed invariants.sql
var invariants string

// Querier is a superuser's connection, pool or transaction in the home database.
type Querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

// Invariants reports everything that must not be seen at any instant, not even in the midst of mints and sweeps.
func Invariants(tb testing.TB, admin Querier) {
	tb.Helper()
	report(tb, admin, false)
}

// Settled reports everything that must not be seen after a sweep which had nothing in its way: the invariants, grants
// that were due and are not ended (quarantined ones too), and sessions of logins that are gone.
func Settled(tb testing.TB, admin Querier) {
	tb.Helper()
	report(tb, admin, true)
}

func report(tb testing.TB, admin Querier, settled bool) {
	tb.Helper()
	violations, err := Violations(tb.Context(), admin, settled)
	if err != nil {
		tb.Fatal(err)
	}
	const most = 10
	for _, violation := range violations[:min(most, len(violations))] {
		tb.Error(violation)
	}
	if len(violations) > most {
		tb.Errorf("… and %d more violations", len(violations)-most)
	}
}

// Violations lists, in words, what Invariants and, where settled is true, Settled report.
func Violations(ctx context.Context, admin Querier, settled bool) ([]string, error) {
	rows, err := admin.Query(ctx, invariants, settled)
	if err != nil {
		return nil, fmt.Errorf("look at the invariants: %w", err)
	}
	violations, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look at the invariants: %w", err)
	}
	return violations, nil
}
