package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"dbsts/shared/edge/edgetest"
)

// fake migrates with that result.
type fake struct {
	result any
	err    error
}

func (f fake) Migrate(context.Context) (any, error) { return f.result, f.err }

func TestADeploymentMigratesOnceAndWritesOneLine(t *testing.T) {
	log, lines := edgetest.Log()
	done := map[string]int{"orders": 1}
	result, err := Handler{Broker: fake{result: done}, Log: log}.Handle(t.Context(), edgetest.Event[json.RawMessage](t, "migrate"))
	if err != nil {
		t.Fatal(err)
	}
	edgetest.Golden(t, "migrate", result, lines())
}

func TestAMigrationThatFailedFailsTheDeployment(t *testing.T) {
	log, _ := edgetest.Log()
	broken := errors.New("migration 2: database unavailable")
	if _, err := (Handler{Broker: fake{err: broken}, Log: log}).Handle(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
