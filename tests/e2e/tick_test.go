package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/localstack/runtime"
	"dbsts/tests/e2e"
)

func TestTheSchedulersEventSweepsHoweverOftenItIsDelivered(t *testing.T) {
	const due = 30
	onEach(t, func(t *testing.T, s *site) {
		d := s.fresh(t, nil)
		d.functions["SweepFunction"].Limit = 2 // template.yaml reserves one, which only saves connections
		for range due {
			s.stack.login(t, "analysts")
		}
		s.expire(t)
		var mu sync.Mutex
		var group sync.WaitGroup
		dropped := 0
		for range 2 {
			group.Go(func() {
				report, err := d.tick(t.Context())
				if err != nil {
					t.Errorf("tick: %v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				dropped += report.Servers[0].Dropped
			})
		}
		group.Wait()
		if dropped < due {
			t.Errorf("two deliveries dropped %d logins, want at least %d", dropped, due)
		}
		e2e.Settled(t, s.admin)
	})
}

func TestMigratingTwiceChangesNothingAndKeepsLogins(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "analysts")
		version := one[int64](t, s, "SELECT version FROM dbsts.policy")
		for range 2 {
			raw, err := s.stack.functions["MigrateFunction"].Invoke(t.Context(), []byte("{}"))
			must(t, err)
			var done []struct {
				Installation, Server string
				Applied, Targets     []string
			}
			must(t, json.Unmarshal(raw, &done))
			if len(done) != 1 || len(done[0].Applied) > 0 || done[0].Installation == "" || strings.Join(done[0].Targets, " ") != "shop" {
				t.Errorf("got %s", raw)
			}
		}
		if got := one[int64](t, s, "SELECT version FROM dbsts.policy"); got != version {
			t.Errorf("the policy's version went from %d to %d", version, got)
		}
		if _, err := s.psql(t, a.DSN, a.AccessToken, "SELECT 1"); err != nil {
			t.Errorf("the login from before: %v", err)
		}
		s.stack.login(t, "engineers")
		e2e.Invariants(t, s.admin)
	})
}

// What `sam local invoke` and `localstack invoke` hand to a function. None of the events has a token of our issuer.
func TestEveryRecordedEventIsUnderstood(t *testing.T) {
	answers := map[string]struct {
		id, contains string
		status       int
	}{
		"discovery":           {"ExchangeFunction", `"token_endpoint"`, 200},
		"discovery-openid":    {"ExchangeFunction", `"token_endpoint"`, 200},
		"exchange":            {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-bad-scope":  {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-bad-target": {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-bearer":     {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-dsn":        {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-expired":    {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-no-token":   {"ExchangeFunction", "parameter_missing", 400},
		"exchange-plain":      {"ExchangeFunction", "subject_token_invalid", 400},
		"exchange-query":      {"ExchangeFunction", "secret_in_query", 400},
		"exchange-rest":       {"ExchangeFunction", "request_malformed", 400},
		"revoke":              {"RevokeFunction", "", 200},
		"revoke-dsn":          {"RevokeFunction", "", 200},
		"revoke-foreign":      {"RevokeFunction", "", 200},
		"sweep":               {"SweepFunction", `"servers":[{"server":"main"`, 0},
		"migrate":             {"MigrateFunction", `"server":"main"`, 0},
	}
	files, err := filepath.Glob(root + "/events/*.json")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no events")
	}
	onEach(t, func(t *testing.T, s *site) {
		for _, file := range files {
			want, known := answers[strings.TrimSuffix(filepath.Base(file), ".json")]
			if !known {
				t.Errorf("%s: what is it for?", file)
				continue
			}
			event, err := os.ReadFile(file)
			must(t, err)
			raw, err := s.stack.functions[want.id].Invoke(t.Context(), event)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			body := string(raw)
			if want.status > 0 {
				var got events.APIGatewayV2HTTPResponse
				must(t, json.Unmarshal(raw, &got))
				body = got.Body
				if got.StatusCode != want.status {
					t.Errorf("%s: got %d %s", file, got.StatusCode, body)
				}
			}
			if !strings.Contains(body, want.contains) {
				t.Errorf("%s: got %s", file, body)
			}
		}
	})
}

func TestAConfigurationMistakeEndsEveryFunctionAtItsStartWithOneLine(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		for mistake, wants := range map[string][]string{
			"url: http://dbsts.test\nissuers: []\n":  {"line 1: url", "https", "issuers", "servers"},
			"url: https://dbsts.test\nusername: x\n": {`line 2: unknown key "username"`},
			"url: [":                                 {"YAML"},
		} {
			d := s.fresh(t, nil)
			must(t, os.WriteFile(d.path, []byte(mistake), 0o600))
			for id, function := range d.functions {
				before := d.log.Len()
				if _, err := function.Invoke(t.Context(), []byte("{}")); !errors.Is(err, runtime.ErrExited) {
					t.Errorf("%s: got %v", id, err)
				}
				var line struct{ Level, Message, Error string }
				eventually(t, time.Second, "a log line of "+id, func() bool { return d.log.Len() > before })
				lines := d.log.since(before)
				if len(lines) != 1 || json.Unmarshal([]byte(strings.TrimPrefix(lines[0], id)), &line) != nil || line.Level != "ERROR" || line.Message != "cannot start" {
					t.Errorf("%s: said %q", id, lines)
				}
				for _, want := range wants {
					if !strings.Contains(line.Error, want) {
						t.Errorf("%s: %q is not in %s", id, want, line.Error)
					}
				}
			}
		}
	})
}
