package issuer

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"dbsts/localstack/gateway"
)

func TestATokenPassesAnIndependentVerifier(t *testing.T) {
	ctx, url, client := provider(t)
	known, err := oidc.NewProvider(ctx, url)
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	raw := token(t, client, url, `{"sub": "alice", "groups": ["analysts"], "big": 9007199254740993}`)
	got, err := known.Verifier(&oidc.Config{ClientID: "me"}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(got.Expiry); got.Subject != "alice" || left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("got subject %q, %v left", got.Subject, left)
	}
	var claims struct {
		Groups []string
		Big    json.Number
		JTI    string
	}
	if err = got.Claims(&claims); err != nil || len(claims.Groups) != 1 || claims.Big != "9007199254740993" || claims.JTI == "" {
		t.Errorf("got %+v, %v", claims, err)
	}
}

func TestGivenClaimsAreKept(t *testing.T) {
	ctx, url, client := provider(t)
	known, err := oidc.NewProvider(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	verifier := known.Verifier(&oidc.Config{ClientID: "me"})
	for _, claims := range []string{`{"exp": 1}`, `{"aud": "somebody else"}`, `{"iss": "https://elsewhere.test"}`} {
		if _, err := verifier.Verify(ctx, token(t, client, url, claims)); err == nil {
			t.Errorf("a token with %s passed", claims)
		}
	}
}

func TestOtherMachinesGetNoToken(t *testing.T) {
	handler, err := Handler("https://localhost:1", "me")
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]int{"127.0.0.1:9": 200, "[::1]:9": 200, "192.0.2.1:9": 403, "": 403} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/dev/token", strings.NewReader(`{}`))
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != want {
			t.Errorf("from %q: got %d, want %d", from, w.Code, want)
		}
	}
}

func TestWhatIsNoObjectOfClaimsIsRefused(t *testing.T) {
	handler, err := Handler("https://localhost:1", "me")
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "[]", `"x"`, `{"a": "` + strings.Repeat("x", 2<<20) + `"}`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/dev/token", strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:9"
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusBadRequest {
			t.Errorf("%.10q: got %d", body, w.Code)
		}
	}
}

func provider(t *testing.T) (context.Context, string, *http.Client) {
	t.Helper()
	certificate, err := gateway.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	url, err := certificate.Serve(t.Context(), func(url string) (http.Handler, error) { return Handler(url, "me") })
	if err != nil {
		t.Fatal(err)
	}
	return oidc.ClientContext(t.Context(), certificate.Client()), url, certificate.Client()
}

func token(t *testing.T, client *http.Client, url, claims string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/dev/token", strings.NewReader(claims))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body map[string]string
	if err = json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return body["id_token"]
}
