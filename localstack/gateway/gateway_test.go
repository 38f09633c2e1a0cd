package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"dbsts/localstack/runtime"
)

func TestAFormArrivesInBase64AsOnAWS(t *testing.T) {
	form := url.Values{"audience": {"shop"}, "scope": {"a b"}}.Encode()
	got := deliver(t, http.MethodPost, "/token", "application/x-www-form-urlencoded", form)
	body, err := base64.StdEncoding.DecodeString(got.Body)
	if err != nil || !got.IsBase64Encoded || string(body) != form {
		t.Errorf("got base64 %v, body %q (%v)", got.IsBase64Encoded, got.Body, err)
	}
}

func TestTextArrivesAsText(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "text/plain"} {
		got := deliver(t, http.MethodPost, "/token", contentType, `{"a": "é"}`)
		if got.IsBase64Encoded || got.Body != `{"a": "é"}` {
			t.Errorf("%s: got base64 %v, body %q", contentType, got.IsBase64Encoded, got.Body)
		}
	}
	if got := deliver(t, http.MethodPost, "/token", "", ""); got.IsBase64Encoded || got.Body != "" {
		t.Errorf("no body: got base64 %v, body %q", got.IsBase64Encoded, got.Body)
	}
}

func TestAnEventSaysWhatWasAsked(t *testing.T) {
	got := deliver(t, http.MethodPost, "/token?a=1&a=2&b=%20", "text/plain", "x")
	type view struct{ Version, RouteKey, RawPath, RawQuery, Stage, Method, Path, Protocol, SourceIP, UserAgent, Repeated string }
	want := view{
		"2.0", "POST /token", "/token", "a=1&a=2&b=%20", "$default", "POST", "/token", "HTTP/1.1", "127.0.0.1", "test/1", "one,two",
	}
	call := got.RequestContext.HTTP
	have := view{
		got.Version, got.RouteKey, got.RawPath, got.RawQueryString, got.RequestContext.Stage, call.Method, call.Path, call.Protocol,
		call.SourceIP, call.UserAgent, got.Headers["x-repeated"],
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if got.RequestContext.RequestID == "" || got.RequestContext.TimeEpoch == 0 || !strings.HasPrefix(got.Headers["host"], "localhost:") {
		t.Errorf("got %+v", got.RequestContext)
	}
	for name := range got.Headers {
		if name != strings.ToLower(name) {
			t.Errorf("header %s is not in lower case", name)
		}
	}
}

func TestAnswersArePassedOn(t *testing.T) {
	plain := answer(events.APIGatewayV2HTTPResponse{StatusCode: 400, Headers: map[string]string{"cache-control": "no-store"}, Body: "bad"})
	routes := Routes{"GET /plain": plain}
	status, header, body := ask(t, routes, http.MethodGet, "/plain", "", "")
	if status != 400 || body != "bad" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("plain: got %d %q %v", status, body, header)
	}
}

func TestTheGatewayAnswersForWhatNoFunctionCan(t *testing.T) {
	fail := func(err error) func(context.Context, []byte) ([]byte, error) {
		return func(context.Context, []byte) ([]byte, error) { return nil, fmt.Errorf("f: %w", err) }
	}
	routes := Routes{
		"POST /failed": fail(errors.New("secret detail")), "POST /slow": fail(runtime.ErrTimeout), "POST /busy": fail(runtime.ErrThrottled),
		"POST /mute":  func(context.Context, []byte) ([]byte, error) { return []byte(`{}`), nil },
		"POST /token": answer(events.APIGatewayV2HTTPResponse{StatusCode: 200}),
	}
	for _, c := range []struct {
		method, path string
		body         string
		status       int
		message      string
	}{
		{"POST", "/failed", "", 500, "Internal Server Error"},
		{"POST", "/mute", "", 500, "Internal Server Error"},
		{"POST", "/slow", "", 503, "Service Unavailable"},
		{"POST", "/busy", "", 503, "Service Unavailable"},
		{"POST", "/token/", "", 404, "Not Found"},
		{"GET", "/token", "", 404, "Not Found"},
		{"POST", "/token", strings.Repeat("x", bodyBytes+1), 413, "Request Entity Too Large"},
	} {
		status, _, body := ask(t, routes, c.method, c.path, "text/plain", c.body)
		if want := `{"message":"` + c.message + `"}`; status != c.status || body != want {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, status, body, c.status, want)
		}
	}
}

func TestTheCertificateHoldsForLoopbackNamesAndSignsNothing(t *testing.T) {
	certificate, at := serve(t, Routes{})
	for _, host := range []string{"localhost", "127.0.0.1"} {
		response, err := certificate.Client().Do(request(t, http.MethodGet, strings.Replace(at, "localhost", host, 1), "", ""))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = response.Body.Close()
		if leaf := response.TLS.PeerCertificates[0]; leaf.IsCA {
			t.Error("the certificate is a CA")
		}
	}
	other, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	if response, err := other.Client().Do(request(t, http.MethodGet, at, "", "")); err == nil {
		_ = response.Body.Close()
		t.Error("another stack's client trusts this one")
	}
}

// deliver sends a request and returns the event that the function got.
func deliver(t *testing.T, method, path, contentType, body string) (got events.APIGatewayV2HTTPRequest) {
	t.Helper()
	ask(t, Routes{method + " /token": func(_ context.Context, event []byte) ([]byte, error) {
		return []byte(`{"statusCode": 204}`), json.Unmarshal(event, &got)
	}}, method, path, contentType, body)
	return got
}

func answer(a events.APIGatewayV2HTTPResponse) func(context.Context, []byte) ([]byte, error) {
	return func(context.Context, []byte) ([]byte, error) { return json.Marshal(a) }
}

func ask(t *testing.T, routes Routes, method, path, contentType, body string) (int, http.Header, string) {
	t.Helper()
	certificate, at := serve(t, routes)
	response, err := certificate.Client().Do(request(t, method, at+path, contentType, body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(got)
}

func serve(t *testing.T, routes Routes) (*Certificate, string) {
	t.Helper()
	certificate, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	at, err := certificate.Serve(t.Context(), func(string) (http.Handler, error) { return routes, nil })
	if err != nil {
		t.Fatal(err)
	}
	return certificate, at
}

func request(t *testing.T, method, at, contentType, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "test/1")
	r.Header["X-Repeated"] = []string{"one", "two"}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}
