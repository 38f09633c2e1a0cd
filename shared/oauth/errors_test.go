package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/oauth"
	"dbsts/shared/policy"
)

// mustRefuse reads the request and wants that answer.
func mustRefuse(t *testing.T, in oauth.Incoming, status int, reason string) {
	t.Helper()
	x, err := oauth.ParseExchange(in, base)
	if err == nil {
		t.Fatalf("accepted: %+v", x)
	}
	if diff := cmp.Diff(oauth.Exchange{}, x, secrets); diff != "" {
		t.Errorf("refused, yet something was returned:\n%s", diff)
	}
	reply := oauth.FromError(err, "request-1")
	var body struct{ Reason string }
	if err := json.Unmarshal(reply.Body, &body); err != nil {
		t.Fatal(err)
	}
	if reply.Status != status || body.Reason != reason {
		t.Errorf("got %d %s, want %d %s", reply.Status, body.Reason, status, reason)
	}
}

const (
	badToken    = `{"error":"invalid_request","error_description":"The subject token was not accepted.","reason":"subject_token_invalid","request_id":"request-1"}`
	badTarget   = `{"error":"invalid_target","error_description":"No credential is issued for this target.","reason":"target_refused","request_id":"request-1"}`
	badScope    = `{"error":"invalid_scope","error_description":"The requested roles are not granted.","reason":"scope_refused","request_id":"request-1"}`
	unavailable = `{"error":"temporarily_unavailable","error_description":"A system behind this service does not answer. Try again.","reason":"unavailable","request_id":"request-1"}`
	frozen      = `{"error":"temporarily_unavailable","error_description":"No credentials are issued at present.","reason":"frozen","request_id":"request-1"}`
	quota       = `{"error":"temporarily_unavailable","error_description":"Too many live credentials. Try again later.","reason":"quota","request_id":"request-1"}`
	replayed    = `{"error":"invalid_request","error_description":"The subject token was used before.","reason":"subject_token_replayed","request_id":"request-1"}`
	revoked     = `{"error":"invalid_request","error_description":"The subject token was issued before a revocation.","reason":"subject_token_revoked","request_id":"request-1"}`
	overage     = `{"error":"invalid_request","error_description":"The subject token does not carry all of its claims.","reason":"claims_overage","request_id":"request-1"}`
	tooShort    = `{"error":"invalid_request","error_description":"The lifetime would be too short.","reason":"lifetime_too_short","request_id":"request-1"}`
	internal    = `{"error":"server_error","error_description":"An internal error occurred.","reason":"internal","request_id":"request-1"}`
)

func TestEveryErrorBecomesItsOwnBytes(t *testing.T) {
	ceiling := func(reason string) error { return &engine.RefusedError{Reason: reason} }
	const bad, down = http.StatusBadRequest, http.StatusServiceUnavailable
	table := []struct {
		err    error
		status int
		body   string
	}{
		{&identity.Error{Reason: identity.ReasonTokenExpired}, bad, badToken},
		{&identity.Error{Reason: identity.ReasonIssuerUnknown}, bad, badToken},
		{&identity.Error{Reason: identity.ReasonTokenTooOld, Proven: true}, bad, badToken},
		{&identity.Error{Reason: identity.ReasonKeysUnavailable}, down, unavailable},
		{identity.ErrInvalid, bad, badToken},
		{identity.ErrUnavailable, down, unavailable},
		{broker.ErrUnknownTarget, bad, badTarget},
		{policy.ErrNoRule, bad, badTarget},
		{policy.ErrDenied, bad, badTarget},
		{policy.ErrScope, bad, badScope},
		{policy.ErrOverage, bad, overage},
		{policy.ErrLifetime, bad, tooShort},
		{policy.ErrBroken, down, unavailable},
		{engine.ErrUnavailable, down, unavailable},
		{engine.ErrStalePolicy, down, unavailable},
		{engine.ErrStuck, down, unavailable},
		{engine.ErrMisplaced, down, unavailable},
		{engine.ErrMisconfigured, down, unavailable},
		{ceiling("quota_live_target"), http.StatusTooManyRequests, quota},
		{ceiling("quota_rate_identity"), http.StatusTooManyRequests, quota},
		{ceiling("role_not_in_catalogue"), bad, badScope},
		{ceiling("role_unsafe"), bad, badScope},
		{ceiling("roles_do_not_mix"), bad, badScope},
		{ceiling("rule_not_live"), bad, badTarget},
		{ceiling("target_unknown"), bad, badTarget},
		{ceiling("lifetime_exceeded"), bad, badTarget},
		{ceiling("lifetime_too_short"), bad, tooShort},
		{ceiling("unheard_of"), bad, badTarget},
		{ceiling("replayed"), bad, replayed},
		{ceiling("epoch_overtaken"), bad, revoked},
		{ceiling("frozen"), down, frozen},
		{context.DeadlineExceeded, down, unavailable},
		{context.Canceled, down, unavailable},
		{engine.ErrRefused, http.StatusInternalServerError, internal},
		{errors.New("a bug"), http.StatusInternalServerError, internal},
		{nil, http.StatusInternalServerError, internal},
	}
	wait := map[string]string{unavailable: "5", frozen: "5", quota: "30"}
	for _, row := range table {
		for name, err := range map[string]error{
			"bare": row.err, "wrapped": fmt.Errorf("step: %w", row.err), "denied": &broker.DeniedError{Err: row.err},
		} {
			if row.err == nil && name != "bare" {
				continue
			}
			t.Run(fmt.Sprintf("%v %s", row.err, name), func(t *testing.T) {
				reply := oauth.FromError(err, "request-1")
				if reply.Status != row.status || string(reply.Body) != row.body {
					t.Errorf("got %d %s, want %d %s", reply.Status, reply.Body, row.status, row.body)
				}
				if got := reply.Header["Retry-After"]; got != wait[row.body] {
					t.Errorf("Retry-After: got %q, want %q", got, wait[row.body])
				}
				mustBePrivate(t, reply)
			})
		}
	}
}

func TestTransportFaultsHaveTheirStatusAndHeader(t *testing.T) {
	table := []struct {
		err           error
		status        int
		header, value string
	}{
		{oauth.ErrForm, http.StatusBadRequest, "", ""},
		{oauth.ErrEvent, http.StatusBadRequest, "", ""},
		{oauth.ErrBodyTooLarge, http.StatusRequestEntityTooLarge, "", ""},
		{oauth.ErrPath, http.StatusNotFound, "", ""},
		{oauth.ErrNotPost, http.StatusMethodNotAllowed, "Allow", "POST"},
		{oauth.ErrNotGet, http.StatusMethodNotAllowed, "Allow", "GET"},
	}
	for _, row := range table {
		reply := oauth.FromError(row.err, "request-1")
		if reply.Status != row.status || reply.Header[row.header] != row.value {
			t.Errorf("%v: got %d %v, want %d %s: %s", row.err, reply.Status, reply.Header, row.status, row.header, row.value)
		}
		mustBePrivate(t, reply)
	}
}

func TestOnlyAnAuthorizationHeaderIsChallenged(t *testing.T) {
	challenge := func(in oauth.Incoming) string {
		_, err := oauth.ParseExchange(in, base)
		return oauth.FromError(err, "request-1").Header["WWW-Authenticate"]
	}
	inHeader, inBody := posted(fields(nil).Encode()), posted(fields(nil).Encode()+"&client_secret=s")
	inHeader.Header["authorization"] = "Basic YTpi"
	if got := challenge(inHeader); got != `Basic realm="sts"` {
		t.Errorf("header: got %q", got)
	}
	if got := challenge(inBody); got != "" {
		t.Errorf("body: got %q", got)
	}
}

func TestADenialThatCouldNotBeRecordedIsStillADenial(t *testing.T) {
	err := errors.Join(&broker.DeniedError{Err: policy.ErrDenied}, fmt.Errorf("refuse: %w", engine.ErrUnavailable))
	if got := oauth.FromError(err, "request-1"); string(got.Body) != badTarget {
		t.Errorf("got %s", got.Body)
	}
}

func TestNoErrorTextReachesTheCaller(t *testing.T) {
	const secret = "hunter2"
	for _, err := range []error{
		fmt.Errorf("%s: %w", secret, policy.ErrNoRule),
		errors.New(secret),
		&engine.RefusedError{Reason: secret},
		&identity.Error{Reason: secret, Cause: errors.New(secret), Token: identity.Token{Subject: secret}},
	} {
		reply := oauth.FromError(err, "request-1")
		if strings.Contains(fmt.Sprint(reply.Header, string(reply.Body)), secret) {
			t.Errorf("%v: told in %s", err, reply.Body)
		}
	}
	_, err := oauth.ParseExchange(posted("hunter2=1&hunter2=2"), base)
	if got := oauth.FromError(err, ""); strings.Contains(string(got.Body), secret) {
		t.Errorf("a stranger's parameter is echoed: %s", got.Body)
	}
}

func TestTheLogLearnsMoreThanTheCaller(t *testing.T) {
	for want, err := range map[string]error{
		identity.ReasonTokenExpired: &broker.DeniedError{Err: &identity.Error{Reason: identity.ReasonTokenExpired}},
		"rule_expired":              fmt.Errorf("mint: %w", &engine.RefusedError{Reason: "rule_expired"}),
		"target_refused":            policy.ErrDenied,
		"internal":                  errors.New("a bug"),
	} {
		if got := oauth.Reason(err); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// mustBePrivate wants the headers that every error carries, and none that makes clients drop the body.
func mustBePrivate(t *testing.T, reply oauth.Reply) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache",
		"X-Content-Type-Options": "nosniff", "WWW-Authenticate": "",
	} {
		if got := reply.Header[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
