package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/edge/edgetest"
	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
	"dbsts/shared/policy"
)

const (
	url      = "https://sts.example"
	grant    = "abcdefghijklmnopqrstuvwxyz"
	password = "dbsts_" + grant + "_" + grant + grant
)

// fake answers with what it is told and keeps what it was asked.
type fake struct {
	answer broker.Answer
	err    error
	panics any
	asked  *broker.Request
}

func (f *fake) Exchange(_ context.Context, request broker.Request) (broker.Answer, error) {
	f.asked = &request
	if f.panics != nil {
		panic(f.panics)
	}
	return f.answer, f.err
}

func minted(sessionRole string, roles ...string) broker.Answer {
	return broker.Answer{
		Credential: engine.Credential{
			Grant: grant, Login: "dbsts_" + grant, Password: logging.NewSecret(password), Database: "shop",
			SessionRole: sessionRole, Roles: roles, ExpiresIn: 899,
			ExpiresAt: time.Date(2026, 11, 23, 17, 15, 0, 0, time.UTC),
		},
		Target: "shop", Engine: "postgres", Host: "db.example", Port: 5432, Issuer: "https://idp.example", Subject: "alice",
	}
}

func denied(err error) error {
	return &broker.DeniedError{Token: identity.Token{Issuer: "https://idp.example", Subject: "alice"}, Err: err}
}

func TestEachEventHasItsAnswerAndItsLine(t *testing.T) {
	reading := fake{answer: minted("", "app_read")}
	for _, row := range []struct {
		event  string
		broker fake
	}{
		{"exchange", reading},
		{"exchange-plain", reading},
		{"exchange-bearer", reading},
		{"exchange-dsn", fake{answer: minted("app_ddl", "app_ddl")}},
		{"exchange-expired", fake{err: &identity.Error{Reason: identity.ReasonTokenExpired}}},
		{"exchange-bad-target", fake{err: denied(broker.ErrUnknownTarget)}},
		{"exchange-bad-scope", fake{err: denied(policy.ErrScope)}},
		{"exchange-no-token", fake{}},
		{"exchange-query", fake{}},
		{"exchange-rest", fake{}},
		{"discovery", fake{}},
		{"discovery-openid", fake{}},
		{"revoke", fake{}},
	} {
		t.Run(row.event, func(t *testing.T) {
			log, lines := edgetest.Log()
			event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, row.event)
			response, err := Handler{Broker: &row.broker, URL: url, Log: log}.Handle(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			mustHaveHeaders(t, response)
			edgetest.Golden(t, row.event, edgetest.Response(t, response), lines())
		})
	}
}

func mustHaveHeaders(t *testing.T, response events.APIGatewayV2HTTPResponse) {
	t.Helper()
	want := map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	}
	if strings.Contains(response.Body, "token_endpoint") { // discovery may be cached
		delete(want, "Pragma")
		want["Cache-Control"] = "public, max-age=300"
	}
	if diff := cmp.Diff(want, response.Headers); diff != "" {
		t.Error(diff)
	}
}

func TestOtherMethodsAreToldWhichOneIsServed(t *testing.T) {
	for _, row := range []struct{ event, method, allow string }{
		{"exchange", "GET", "POST"},
		{"exchange", "HEAD", "POST"},
		{"discovery", "POST", "GET"},
	} {
		log, lines := edgetest.Log()
		spy := &fake{}
		event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, row.event)
		event.RequestContext.HTTP.Method = row.method
		response, _ := Handler{Broker: spy, URL: url, Log: log}.Handle(t.Context(), event)
		if response.StatusCode != 405 || response.Headers["Allow"] != row.allow || spy.asked != nil || lines() != "" {
			t.Errorf("%s %s: got %d %v, log %s", row.method, row.event, response.StatusCode, response.Headers, lines())
		}
	}
}

func TestTheBrokerIsAskedWhatTheCallerAsked(t *testing.T) {
	for _, name := range []string{"exchange", "exchange-plain"} {
		log, _ := edgetest.Log()
		spy := &fake{answer: minted("", "app_read")}
		event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, name)
		if _, err := (Handler{Broker: spy, URL: url, Log: log}).Handle(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		want := &broker.Request{
			Kind: identity.IDToken, Target: "shop", Roles: []string{"app_read"}, Reason: "INC-42",
			SourceIP: "192.0.2.7", RequestID: "JKJaXmPLvHcESH1=",
		}
		if strings.Count(spy.asked.Token.Reveal(), ".") != 2 {
			t.Errorf("%s: the token did not arrive", name)
		}
		spy.asked.Token = logging.Secret{}
		if diff := cmp.Diff(want, spy.asked, cmp.AllowUnexported(logging.Secret{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestUnknownTargetAndNoRuleAreTheSameBytes(t *testing.T) {
	answers := map[string]bool{}
	for _, err := range []error{broker.ErrUnknownTarget, policy.ErrNoRule, policy.ErrDenied, &engine.RefusedError{Reason: "rule_expired"}} {
		log, _ := edgetest.Log()
		event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, "exchange-bad-target")
		response, _ := Handler{Broker: &fake{err: denied(err)}, URL: url, Log: log}.Handle(t.Context(), event)
		answers[response.Body] = true
	}
	if len(answers) != 1 {
		t.Errorf("the caller can tell them apart: %v", answers)
	}
}

func TestAPanicIsAnAnswerAndALineWithoutItsValue(t *testing.T) {
	log, lines := edgetest.Log()
	event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, "exchange")
	secret := errors.New("verifier of hunter2")
	response, err := Handler{Broker: &fake{panics: secret}, URL: url, Log: log}.Handle(t.Context(), event)
	if err != nil || response.StatusCode != 500 || !strings.Contains(response.Body, "server_error") {
		t.Errorf("got %d %s, %v", response.StatusCode, response.Body, err)
	}
	if text := lines() + response.Body; strings.Contains(text, "hunter2") {
		t.Errorf("the value got out: %s", text)
	}
	for _, want := range []string{`"message":"exchange"`, `"outcome":"failed"`, `"target":"shop"`, "panic *errors.errorString in", "Exchange, line"} {
		if !strings.Contains(lines(), want) {
			t.Errorf("no %s in %s", want, lines())
		}
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	log, lines := edgetest.Log()
	event := edgetest.Event[events.APIGatewayV2HTTPRequest](t, "exchange-plain")
	if _, err := (Handler{Broker: &fake{answer: minted("", "app_read")}, URL: url, Log: log}).Handle(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, "eyJ", "alice", "INC-42"} {
		if strings.Contains(lines(), secret) {
			t.Errorf("%s is in the log: %s", secret, lines())
		}
	}
}
