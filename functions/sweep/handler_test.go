package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"dbsts/shared/broker"
	"dbsts/shared/edge/edgetest"
	"dbsts/shared/engine"
)

// fake sweeps with that result.
type fake struct {
	report broker.Report
	err    error
}

func (f fake) Sweep(context.Context) (broker.Report, error) { return f.report, f.err }

func TestATickSweepsOnceAndWritesOneLine(t *testing.T) {
	log, lines := edgetest.Log()
	done := broker.Report{Servers: []broker.ServerReport{{Server: "main", Dropped: 3, Findings: engine.Findings{Due: 3, OldestDue: 41}}}}
	report, err := Handler{Broker: fake{report: done}, Log: log}.Handle(t.Context(), edgetest.Event[json.RawMessage](t, "sweep"))
	if err != nil {
		t.Fatal(err)
	}
	edgetest.Golden(t, "sweep", report, lines())
}

func TestASweepThatLeftSomethingFailsTheInvocation(t *testing.T) {
	log, lines := edgetest.Log()
	left := errors.New("sweep shop: database unavailable")
	_, err := Handler{Broker: fake{err: left}, Log: log}.Handle(t.Context(), nil)
	if !errors.Is(err, left) || !strings.Contains(lines(), `"outcome":"failed"`) || !strings.Contains(lines(), left.Error()) {
		t.Errorf("got %v, log %s", err, lines())
	}
}
