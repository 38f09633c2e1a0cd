package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	neturl "net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/config"
	"dbsts/shared/edge/edgetest"
	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

// scene is the whole function but for the database: handler, use case and verifier, put together as package wiring does.
type scene struct {
	attacks  *attacks
	clock    *identitytest.Clock
	verifier *identity.Verifier
	ledger   *ledger
	handler  Handler
	event    events.APIGatewayV2HTTPRequest
	log      *bytes.Buffer
}

func (a *attacks) scene(t *testing.T, rules string, issuers ...config.Issuer) *scene {
	t.Helper()
	s := &scene{attacks: a, clock: identitytest.NewClock(), ledger: &ledger{rules: rules, spent: map[string]bool{}}, log: &bytes.Buffer{}}
	var err error
	if s.verifier, err = identity.New(issuers, s.clock.Now); err != nil {
		t.Fatal(err)
	}
	terms := map[string]broker.Terms{}
	for _, issuer := range issuers {
		if issuer.Replay == "" {
			issuer.Replay = "allow" // as package config fills it in
		}
		terms[issuer.Issuer] = broker.Terms{Replay: issuer.Replay, EndWithToken: issuer.EndWithToken}
	}
	server := broker.NewServer(s.ledger)
	places := map[string]broker.Place{"shop": {Engine: "postgres", Host: "db.example", Port: 5432, Server: server}}
	s.handler = Handler{
		Broker: broker.NewExchanger(s.verifier, terms, places, server), URL: url,
		Log: slog.New(slog.NewJSONHandler(s.log, nil)), // without the belt that cuts secrets out of lines: nothing may need it
	}
	s.event = edgetest.Event[events.APIGatewayV2HTTPRequest](t, "exchange")
	return s
}

// wish is the form of an exchange; more parameters, in pairs, are added or replaced.
func wish(raw string, more ...string) neturl.Values {
	form := neturl.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {raw},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "audience": {"shop"},
	}
	for pair := range slices.Chunk(more, 2) {
		form.Set(pair[0], pair[1])
	}
	return form
}

// answer is what the caller learns.
type answer struct {
	Status int
	Error  string
	Reason string
	whole  events.APIGatewayV2HTTPResponse
}

// post sends a form as API Gateway does, in base64.
func (s *scene) post(t *testing.T, form neturl.Values) answer {
	t.Helper()
	event := s.event
	event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(form.Encode())), true
	return s.send(t, event)
}

func (s *scene) send(t *testing.T, event events.APIGatewayV2HTTPRequest) answer {
	t.Helper()
	response, err := s.handler.Handle(t.Context(), event)
	if err != nil {
		t.Error(err)
	}
	var body struct{ Error, Reason string }
	if err := json.Unmarshal([]byte(response.Body), &body); err != nil {
		t.Errorf("the answer is no JSON: %v", err)
	}
	return answer{response.StatusCode, body.Error, body.Reason, response}
}

// Answers. The first is the only one that an unproven token may get, whatever is wrong with it.
var (
	badToken    = answer{Status: 400, Error: "invalid_request", Reason: "subject_token_invalid"}
	badTarget   = answer{Status: 400, Error: "invalid_target", Reason: "target_refused"}
	badScope    = answer{Status: 400, Error: "invalid_scope", Reason: "scope_refused"}
	replayed    = answer{Status: 400, Error: "invalid_request", Reason: "subject_token_replayed"}
	overtaken   = answer{Status: 400, Error: "invalid_request", Reason: "subject_token_revoked"}
	overage     = answer{Status: 400, Error: "invalid_request", Reason: "claims_overage"}
	tooLarge    = answer{Status: 413, Error: "invalid_request", Reason: "body_too_large"}
	badForm     = answer{Status: 400, Error: "invalid_request", Reason: "request_malformed"}
	badValue    = answer{Status: 400, Error: "invalid_request", Reason: "parameter_invalid"}
	noValue     = answer{Status: 400, Error: "invalid_request", Reason: "parameter_missing"}
	unavailable = answer{Status: 503, Error: "temporarily_unavailable", Reason: "unavailable"}
)

// refusal is how an attack ends.
type refusal struct {
	answer answer
	logged string  // the reason in the log line
	left   touched // in the database
}

// unproven is a refusal of a token whose signature was not proven: the database hears nothing of it.
func unproven(logged string) refusal { return refusal{answer: badToken, logged: logged} }

// proven is a refusal that is one row, and nothing else, in the database.
func proven(told answer, logged, recorded string) refusal {
	return refusal{answer: told, logged: logged, left: touched{Refused: []string{recorded}}}
}

// refuses tries one attack.
func (s *scene) refuses(t *testing.T, form neturl.Values, want refusal) {
	t.Helper()
	s.judge(t, want, func() answer { return s.post(t, form) })
}

// judge counts an attack and compares all of its ends: answer, log line, database. Whether rules were read matters where a
// token is refused for itself; elsewhere it depends on what came before.
func (s *scene) judge(t *testing.T, want refusal, attack func() answer) {
	t.Helper()
	s.attacks.tried.Add(1)
	before := s.ledger.since(touched{})
	s.log.Reset()
	got := attack()
	left := s.ledger.since(before)
	if want.answer.Reason != badToken.Reason {
		left.Reads = 0
	}
	if got.Status < 400 || strings.Contains(got.whole.Body, "access_token") || left.Minted > 0 {
		t.Fatalf("not refused: %d %s", got.Status, got.whole.Body)
	}
	s.attacks.refused.Add(1)
	if diff := cmp.Diff(want.answer, answer{Status: got.Status, Error: got.Error, Reason: got.Reason}, cmp.AllowUnexported(answer{})); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.left, left); diff != "" {
		t.Errorf("left in the database (-want +got):\n%s", diff)
	}
	s.attacks.mustBeAlike(t, got)
	s.mustBeLogged(t, want.logged)
}

// secret matches what must stand in no log and in no refusal.
var secret = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8}|dbsts_[a-z2-7]{26}_[a-z2-7]{52}`)

func (s *scene) mustBeLogged(t *testing.T, reason string) {
	t.Helper()
	if found := secret.FindString(s.log.String()); found != "" {
		t.Errorf("in the log: %s", found)
	}
	var line struct{ Outcome, Reason string }
	if err := json.Unmarshal(s.log.Bytes(), &line); err != nil {
		t.Errorf("want one log line, got %q: %v", s.log, err)
	}
	if line.Reason != reason || (line.Outcome != "refused" && line.Outcome != "unavailable") {
		t.Errorf("logged as %s, %s; want refused, %s", line.Outcome, line.Reason, reason)
	}
}

// accepts holds the control of an attack: what differs from it in nothing but the attack is minted.
func (s *scene) accepts(t *testing.T, form neturl.Values) engine.Mint {
	t.Helper()
	if got := s.post(t, form); got.Status != 200 || !strings.Contains(got.whole.Body, `"access_token":"dbsts_`) {
		t.Fatalf("refused: %d %s; log %s", got.Status, got.whole.Body, s.log)
	}
	return s.ledger.minted[len(s.ledger.minted)-1]
}

// mustBeAlike holds refusals of one kind to the same bytes and headers: more would be an oracle.
func (a *attacks) mustBeAlike(t *testing.T, got answer) {
	t.Helper()
	if found := secret.FindString(got.whole.Body); found != "" {
		t.Errorf("in the answer: %s", found)
	}
	if got.Reason == badValue.Reason || got.Reason == noValue.Reason {
		return // these name the parameter
	}
	first, loaded := a.answers.LoadOrStore(got.Reason, got.whole)
	if loaded && !cmp.Equal(first, any(got.whole)) {
		t.Errorf("two answers to one kind of refusal:\n%s", cmp.Diff(first, any(got.whole)))
	}
}

// claims are good claims with changes; gone takes one away.
func (s *scene) claims(changes identitytest.Object) identitytest.Object {
	all := identitytest.GoodClaims(s.clock.Now())
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == any(gone) })
	return all
}

// gone stands for a claim that is not there.
const gone = "\x00 gone"

// token is a token by the key r of the provider.
func token(claims identitytest.Object) string {
	return identitytest.Token("RS256", "r", identitytest.RSAKey(), claims)
}
