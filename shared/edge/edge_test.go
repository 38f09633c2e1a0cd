package edge

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/shared/broker"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
	"dbsts/shared/oauth"
	"dbsts/shared/policy"
)

// event is a POST to /token in payload 2.0.
func event(change func(*events.APIGatewayV2HTTPRequest)) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: "/token", Body: "a=b"}
	e.RequestContext.HTTP.Method = "POST"
	e.RequestContext.Stage = "$default"
	change(&e)
	return e
}

// serve returns the status, the request that arrived, if any, and the log.
func serve(t *testing.T, e events.APIGatewayV2HTTPRequest) (int, *Request, string) {
	t.Helper()
	var log bytes.Buffer
	var arrived *Request
	response := Serve(t.Context(), logging.New(&log, ""), e, func(_ context.Context, r Request, _ *Line) oauth.Reply {
		arrived = &r
		return oauth.Reply{Status: 200}
	})
	return response.StatusCode, arrived, log.String()
}

func TestOtherShapesThanPayloadTwoAreRefused(t *testing.T) {
	type change = func(*events.APIGatewayV2HTTPRequest)
	for name, row := range map[string]struct {
		change change
		status int
	}{
		"a REST API":       {func(e *events.APIGatewayV2HTTPRequest) { e.Version = "1.0" }, 400},
		"a load balancer":  {func(e *events.APIGatewayV2HTTPRequest) { e.Version = "" }, 400},
		"a direct call":    {func(e *events.APIGatewayV2HTTPRequest) { *e = events.APIGatewayV2HTTPRequest{} }, 400},
		"an authorizer":    {func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.HTTP.Method = "" }, 400},
		"broken base64":    {func(e *events.APIGatewayV2HTTPRequest) { e.IsBase64Encoded = true; e.Body = "a=b" }, 400},
		"an enormous body": {func(e *events.APIGatewayV2HTTPRequest) { e.Body = strings.Repeat("a", 88<<10) }, 413},
		"enormous, encoded": {func(e *events.APIGatewayV2HTTPRequest) {
			e.IsBase64Encoded = true
			e.Body = strings.Repeat("A", 88<<10)
		}, 413},
	} {
		status, arrived, log := serve(t, event(row.change))
		if status != row.status || arrived != nil || !strings.Contains(log, `"outcome":"refused"`) {
			t.Errorf("%s: got %d, arrived %v, log %s", name, status, arrived, log)
		}
	}
}

func TestABodyArrivesAsItWasSent(t *testing.T) {
	for name, change := range map[string]func(*events.APIGatewayV2HTTPRequest){
		"plain": func(*events.APIGatewayV2HTTPRequest) {},
		"encoded": func(e *events.APIGatewayV2HTTPRequest) {
			e.IsBase64Encoded, e.Body = true, base64.StdEncoding.EncodeToString([]byte("a=b"))
		},
	} {
		if _, r, _ := serve(t, event(change)); r == nil || string(r.Body) != "a=b" {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	largest := event(func(e *events.APIGatewayV2HTTPRequest) {
		e.IsBase64Encoded, e.Body = true, base64.StdEncoding.EncodeToString(make([]byte, oauth.MaxBody))
	})
	if _, r, _ := serve(t, largest); r == nil || len(r.Body) != oauth.MaxBody {
		t.Error("the largest body did not arrive")
	}
}

func TestTheStageIsNoPartOfThePath(t *testing.T) {
	for _, row := range [][3]string{
		{"$default", "/token", "/token"},
		{"prod", "/prod/token", "/token"},
		{"prod", "/token", "/token"},
		{"prod", "/production/token", "/production/token"},
		{"", "/token", "/token"},
	} {
		if got := withoutStage(row[1], row[0]); got != row[2] {
			t.Errorf("stage %q, path %s: got %s, want %s", row[0], row[1], got, row[2])
		}
	}
}

func TestWorkEndsASecondBeforeTheFunction(t *testing.T) {
	end := time.Now().Add(15 * time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	_, err := Run(ctx, slog.New(slog.DiscardHandler), "sweep", func(ctx context.Context) (int, error) {
		if got, ok := ctx.Deadline(); !ok || !got.Equal(end.Add(-time.Second)) {
			t.Errorf("got %v, want a second before %v", got, end)
		}
		return 0, nil
	})
	if err != nil {
		t.Error(err)
	}
	Serve(ctx, slog.New(slog.DiscardHandler), event(func(*events.APIGatewayV2HTTPRequest) {}),
		func(ctx context.Context, _ Request, _ *Line) oauth.Reply {
			if got, ok := ctx.Deadline(); !ok || !got.Equal(end.Add(-time.Second)) {
				t.Errorf("got %v, want a second before %v", got, end)
			}
			return oauth.Reply{Status: 200}
		})
}

func TestAPanicSaysWhereAndNotWhat(t *testing.T) {
	for name, work := range map[string]func(context.Context) (int, error){
		"string": func(context.Context) (int, error) { panic("hunter2") },
		"error":  func(context.Context) (int, error) { panic(errors.New("hunter2")) },
		"runtime": func(context.Context) (int, error) {
			var value any = "hunter2"
			return value.(int), nil
		},
	} {
		var log bytes.Buffer
		_, err := Run(t.Context(), logging.New(&log, ""), "sweep", work)
		if err == nil || !strings.Contains(err.Error(), "in dbsts/shared/edge.TestAPanicSays") {
			t.Errorf("%s: got %v", name, err)
		}
		if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), `"outcome":"failed"`) {
			t.Errorf("%s: log %s", name, log.String())
		}
	}
}

func TestAQuietRequestHasNoLine(t *testing.T) {
	if _, _, log := serve(t, event(func(*events.APIGatewayV2HTTPRequest) {})); log != "" {
		t.Errorf("got %s", log)
	}
}

func TestTheConfigurationLiesBesideTheBinary(t *testing.T) {
	t.Setenv("DBSTS_CONFIG", "")
	if got := ConfigPath(); !filepath.IsAbs(got) || filepath.Base(got) != "dbsts.yaml" {
		t.Errorf("got %s", got)
	}
	t.Setenv("DBSTS_CONFIG", "elsewhere.yaml")
	if got := ConfigPath(); got != "elsewhere.yaml" {
		t.Errorf("got %s", got)
	}
}

func TestTheLineSaysWhatTheErrorsKeepBack(t *testing.T) {
	down := errors.New("connection refused")
	for want, err := range map[string]error{
		"signing keys of the issuer are not available: connection refused": &identity.Error{Reason: identity.ReasonKeysUnavailable, Cause: down},
		"denied: no rule allows this; not on record: connection refused":   &broker.DeniedError{Err: policy.ErrNoRule, Unrecorded: down},
		"denied: no rule allows this":                                      &broker.DeniedError{Err: policy.ErrNoRule},
	} {
		if got := errorText(err); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestASubjectIsLoggedAsAHash(t *testing.T) {
	// printf 'https://idp.example\nalice' | sha256sum | cut -c1-16
	if got := subjectHash("https://idp.example", "alice"); got != "9ac2edb5a830bc9f" {
		t.Errorf("got %s", got)
	}
	if got := subjectHash("https://idp.example", ""); got != "" {
		t.Errorf("nobody: got %s", got)
	}
}
