package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/localstack/issuer"
	"dbsts/shared/config"
)

// refuses sends a request and wants an error of the protocol: its status, error and reason, and no new grant.
func (d *stack) refuses(t *testing.T, what string, form url.Values, status int, code, reason string) answer {
	t.Helper()
	before := d.grants(t)
	a, err := d.send(t.Context(), "/token", form)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	d.mustBeRefusal(t, what, a, status, code, reason, before)
	return a
}

func (d *stack) mustBeRefusal(t *testing.T, what string, a answer, status int, code, reason string, before int) {
	t.Helper()
	if a.status != status || a.Error != code || a.Reason != reason {
		t.Errorf("%s: got %d %s", what, a.status, a.body)
	}
	if made := d.grants(t) - before; made != 0 {
		t.Errorf("%s: %d grants were made", what, made)
	}
	if head := a.header; head.Get("Content-Type") != "application/json" || head.Get("X-Content-Type-Options") != "nosniff" || head.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", what, head)
	}
	if a.AccessToken != "" || a.RequestID == "" || strings.ContainsAny(a.body, "<>&'") {
		t.Errorf("%s: got %s", what, a.body)
	}
	if status == http.StatusServiceUnavailable && h(a, "Retry-After") != "5" || status == http.StatusTooManyRequests && h(a, "Retry-After") != "30" {
		t.Errorf("%s: Retry-After is %q", what, h(a, "Retry-After"))
	}
}

func h(a answer, name string) string { return a.header.Get(name) }

func TestNoRuleDenialAndUnknownTargetAreTheSameBytes(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		number := regexp.MustCompile(`"request_id":"[^"]*"`)
		var first string
		for what, form := range map[string]url.Values{
			"no rule":          exchangeForm(s.token(t, person("guests"))),
			"a deny rule":      exchangeForm(s.token(t, with(person("analysts"), "suspended", true))),
			"unknown target":   exchangeForm(s.token(t, person("analysts")), "audience", "nowhere"),
			"malformed target": exchangeForm(s.token(t, person("analysts")), "audience", strings.Repeat("x", 300)),
			"a script":         exchangeForm(s.token(t, person("analysts")), "audience", `"><script>alert(1)</script>`),
			"foreign resource": exchangeForm(s.token(t, person("analysts")), "audience", "", "resource", "https://elsewhere.test/db/shop"),
			"two targets":      exchangeForm(s.token(t, person("analysts")), "resource", s.stack.url+"/db/archive"),
		} {
			a := s.stack.refuses(t, what, form, http.StatusBadRequest, "invalid_target", "target_refused")
			body := number.ReplaceAllString(a.body, "")
			if first == "" {
				first = body
			}
			if body != first {
				t.Errorf("%s: got %s, others got %s", what, body, first)
			}
		}
	})
}

func TestRolesThatAreNotGrantedAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		for _, c := range []struct{ group, scope string }{
			{"analysts", "app_write"},
			{"analysts", "app_read app_write"},
			{"analysts", "pg_read_all_data"},
			{"analysts", "dbsts_owner"},
			{"analysts", "<b>app_read</b>"},
			{"dba", "app_owner app_read"},
			{"dba", "postgres"},
		} {
			s.stack.refuses(t, c.group+" asks for "+c.scope, exchangeForm(s.token(t, person(c.group)), "scope", c.scope),
				http.StatusBadRequest, "invalid_scope", "scope_refused")
		}
		both := with(person("dba"), "groups", []string{"dba", "analysts"})
		s.stack.refuses(t, "a set role beside another", exchangeForm(s.token(t, both), "scope", "app_owner app_read"),
			http.StatusBadRequest, "invalid_scope", "scope_refused")
	})
}

func TestTokensThatAreNotGoodAreRefusedAlike(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		now := time.Now().Unix()
		good := s.token(t, person("engineers"))
		parts := strings.Split(good, ".")
		foreign, err := run.certificate.Serve(t.Context(), func(string) (http.Handler, error) { return issuer.Handler(s.issuer, audience) })
		must(t, err)
		unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
		other := strings.Split(s.token(t, person("dba")), ".")
		for what, token := range map[string]string{
			"expired":               s.token(t, with(person("engineers"), "iat", now-900, "exp", now-300)),
			"of the future":         s.token(t, with(person("engineers"), "iat", now+600, "exp", now+1200)),
			"too old":               s.token(t, with(person("engineers"), "iat", now-7200, "exp", now+600)),
			"signed by a stranger":  signed(t, foreign, person("engineers")),
			"payload of another":    parts[0] + "." + other[1] + "." + parts[2],
			"unsigned":              unsigned,
			"for somebody else":     s.token(t, with(person("engineers"), "aud", "elsewhere")),
			"of an unknown issuer":  s.token(t, with(person("engineers"), "iss", "https://issuer.test")),
			"about nobody":          s.token(t, with(person("engineers"), "sub", "")),
			"no token at all":       "hello",
			"a script":              "<script>alert(1)</script>",
			"longer than the limit": good + strings.Repeat("A", 16<<10),
		} {
			s.stack.refuses(t, what, exchangeForm(token), http.StatusBadRequest, "invalid_request", "subject_token_invalid")
		}
		s.stack.refuses(t, "announced as an access token", exchangeForm(good, "subject_token_type", accessToken),
			http.StatusBadRequest, "invalid_request", "subject_token_invalid")
		if a := s.stack.exchange(t, good); a.status != http.StatusOK {
			t.Errorf("the good token: got %d %s", a.status, a.body)
		}
	})
}

func TestRequestsThatAreNotWellFormedAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		for _, c := range []struct {
			parameters   []string
			code, reason string
			status       int
		}{
			{[]string{"grant_type", "password"}, "unsupported_grant_type", "grant_type", 400},
			{[]string{"grant_type", ""}, "invalid_request", "parameter_missing", 400},
			{[]string{"subject_token", ""}, "invalid_request", "parameter_missing", 400},
			{[]string{"subject_token_type", "urn:x"}, "invalid_request", "parameter_invalid", 400},
			{[]string{"audience", ""}, "invalid_request", "parameter_missing", 400},
			{[]string{"ttl", "29"}, "invalid_request", "lifetime_too_short", 400},
			{[]string{"ttl", "-1"}, "invalid_request", "parameter_invalid", 400},
			{[]string{"requested_token_type", "urn:<x>"}, "invalid_request", "parameter_invalid", 400},
			{[]string{"actor_token", "x"}, "invalid_request", "parameter_invalid", 400},
			{[]string{"reason", strings.Repeat("x", 501)}, "invalid_request", "parameter_invalid", 400},
			{[]string{"client_secret", "x"}, "invalid_client", "client_authentication", 401},
			{[]string{"padding", strings.Repeat("x", 64<<10)}, "invalid_request", "body_too_large", 413},
		} {
			s.stack.refuses(t, c.parameters[0]+" "+c.reason, exchangeForm(token, c.parameters...), c.status, c.code, c.reason)
		}
		twice := exchangeForm(token)
		twice.Add("scope", "app_read")
		twice.Add("scope", "app_write")
		s.stack.refuses(t, "scope twice", twice, 400, "invalid_request", "parameter_repeated")
		s.stack.refuses(t, "claims left out", exchangeForm(s.token(t, with(person("x"), "groups", nil, "hasgroups", true))), 400, "invalid_request", "claims_overage")

		before := s.grants(t)
		for what, c := range map[string]struct {
			path, contentType, body, reason string
			status                          int
		}{
			"JSON":                   {"/token", "application/json", `{"subject_token": "x"}`, "content_type", 415},
			"no content type":        {"/token", "", exchangeForm(token).Encode(), "content_type", 415},
			"a broken form":          {"/token", "application/x-www-form-urlencoded", "a=%zz", "request_malformed", 400},
			"a token in the address": {"/token?subject_token=x", "application/x-www-form-urlencoded", exchangeForm(token).Encode(), "secret_in_query", 400},
		} {
			a, err := s.stack.do(t.Context(), http.MethodPost, c.path, c.contentType, c.body)
			must(t, err)
			s.stack.mustBeRefusal(t, what, a, c.status, "invalid_request", c.reason, before)
		}
	})
}

func TestOtherMethodsAndPathsAreNotServed(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		before := s.grants(t)
		for _, c := range [][2]string{{"GET", "/token"}, {"PUT", "/token"}, {"GET", "/revoke"}, {"POST", "/"}, {"POST", "/token/"}, {"POST", "//token"}} {
			if a, err := s.stack.do(t.Context(), c[0], c[1], "", ""); err != nil || a.status != http.StatusNotFound { // the gateway's own
				t.Errorf("%s %s: got %d %s, %v", c[0], c[1], a.status, a.body, err)
			}
		}
		// A function URL has no routes: there the functions refuse.
		for _, c := range []struct {
			id, method, path, allow string
			status                  int
		}{
			{"ExchangeFunction", "GET", "/token", "POST", 405},
			{"ExchangeFunction", "POST", "/.well-known/openid-configuration", "GET", 405},
			{"ExchangeFunction", "POST", "/revoke", "", 404},
			{"RevokeFunction", "GET", "/revoke", "POST", 405},
			{"RevokeFunction", "POST", "/token", "", 404},
		} {
			event := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: c.path}
			event.RequestContext.HTTP.Method, event.RequestContext.HTTP.Path = c.method, c.path
			text, err := json.Marshal(event)
			must(t, err)
			raw, err := s.stack.functions[c.id].Invoke(t.Context(), text)
			must(t, err)
			var got events.APIGatewayV2HTTPResponse
			must(t, json.Unmarshal(raw, &got))
			if got.StatusCode != c.status || got.Headers["Allow"] != c.allow {
				t.Errorf("%s %s: got %+v", c.method, c.path, got)
			}
		}
		if made := s.grants(t) - before; made != 0 {
			t.Errorf("%d grants were made", made)
		}
	})
}

func TestCeilingsOfTheDatabaseReachTheCaller(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		who := person("engineers")
		token := s.token(t, who)
		once := s.fresh(t, func(c *config.Config) { c.Issuers[0].Replay = "reject" })
		if a := once.exchange(t, token); a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		once.refuses(t, "spent twice", exchangeForm(token), http.StatusBadRequest, "invalid_request", "subject_token_replayed")

		quota := one[int](t, s, "SELECT live_per_identity FROM dbsts.policy")
		s.exec(t, "UPDATE dbsts.policy SET live_per_identity = 1")
		s.stack.refuses(t, "one login too many", exchangeForm(token), http.StatusTooManyRequests, "temporarily_unavailable", "quota")
		s.exec(t, "UPDATE dbsts.policy SET live_per_identity = $1, frozen = true", quota)
		s.stack.refuses(t, "frozen", exchangeForm(token), http.StatusServiceUnavailable, "temporarily_unavailable", "frozen")
		s.exec(t, "UPDATE dbsts.policy SET frozen = false")

		s.exec(t, "INSERT INTO dbsts.epochs (issuer, kind, value, not_before, cause) VALUES ($1, 'sub', $2, clock_timestamp(), 'test')", s.issuer, who["sub"])
		s.stack.refuses(t, "older than an epoch", exchangeForm(token), http.StatusBadRequest, "invalid_request", "subject_token_revoked")
		if a := s.stack.login(t, "engineers"); a.status != http.StatusOK {
			t.Errorf("afterwards: got %d", a.status)
		}
	})
}

func TestRevokingWhatIsNoCredentialOfOursIsASuccessThatChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "analysts")
		for _, token := range []string{
			"hello", "dbsts_" + strings.Repeat("a", 26) + "_" + strings.Repeat("b", 52), a.Username,
			a.AccessToken[:len(a.AccessToken)-1] + "x", strings.ToUpper(a.AccessToken), "postgresql://" + a.Username + ":wrong@host/shop",
		} {
			if _, err := s.stack.send(t.Context(), "/revoke", url.Values{"token": {token}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.psql(t, a.DSN, a.AccessToken, "SELECT 1"); err != nil {
			t.Errorf("the login is gone: %v", err)
		}
	})
}
