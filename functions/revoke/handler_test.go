package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/shared/edge/edgetest"
	"dbsts/shared/engine"
)

const (
	grant  = "abcdefghijklmnopqrstuvwxyz"
	secret = grant + grant
)

// fake answers with what it is told and keeps what it was asked.
type fake struct {
	err   error
	asked *engine.Possession
}

func (f *fake) Revoke(_ context.Context, possession engine.Possession) error {
	f.asked = &possession
	return f.err
}

func TestEachEventHasItsAnswerAndItsLine(t *testing.T) {
	for _, row := range []struct {
		golden, event string
		err           error
		asks          bool
	}{
		{"revoke", "revoke", nil, true},
		{"revoke-dsn", "revoke-dsn", nil, true},
		{"revoke-unknown", "revoke", fmt.Errorf("surrender: %w", engine.ErrUnknownGrant), true},
		{"revoke-unavailable", "revoke", fmt.Errorf("surrender: %w", engine.ErrUnavailable), true},
		{"revoke-foreign", "revoke-foreign", nil, false},
		{"elsewhere", "exchange", nil, false},
	} {
		t.Run(row.golden, func(t *testing.T) {
			log, lines := edgetest.Log()
			spy := &fake{err: row.err}
			event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, row.event)
			response, err := Handler{Broker: spy, Log: log}.Handle(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			if asked := spy.asked != nil; asked != row.asks {
				t.Errorf("broker asked: %v", asked)
			}
			if row.asks && (spy.asked.Grant != grant || spy.asked.Secret.Reveal() != secret) {
				t.Errorf("broker asked for %+v", spy.asked)
			}
			if strings.Contains(lines(), secret) {
				t.Errorf("the secret is in the log: %s", lines())
			}
			edgetest.Golden(t, row.golden, edgetest.Response(t, response), lines())
		})
	}
}

func TestOnlyPostRevokes(t *testing.T) {
	log, _ := edgetest.Log()
	spy := &fake{}
	event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, "revoke")
	event.RequestContext.HTTP.Method = "GET"
	response, _ := Handler{Broker: spy, Log: log}.Handle(t.Context(), event)
	if response.StatusCode != 405 || response.Headers["Allow"] != "POST" || spy.asked != nil {
		t.Errorf("got %d %v, asked %v", response.StatusCode, response.Headers, spy.asked)
	}
}
