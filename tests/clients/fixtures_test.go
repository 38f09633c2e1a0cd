package clients_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"testing"
)

// login is what a client that reads the JSON itself sees.
type login struct {
	AccessToken     string  `json:"access_token"`
	IssuedTokenType string  `json:"issued_token_type"`
	TokenType       string  `json:"token_type"`
	ExpiresIn       float64 `json:"expires_in"`
	Scope           string  `json:"scope"`
	Username        string  `json:"username"`
	DSN             string  `json:"dsn"`
}

// Spring takes no token type but Bearer; it asks for an access token and must get one.
func TestSpringSecurityCanAsk(t *testing.T) {
	for fixture, roles := range map[string]string{"spring.http": "app_read app_write", "spring-6.3.http": "app_read"} {
		got := replay(t, fixture)
		if got.TokenType != "Bearer" || got.ExpiresIn < 1 || got.Scope != roles {
			t.Errorf("%s: got %s for %q, %v s", fixture, got.TokenType, got.Scope, got.ExpiresIn)
		}
		mustLogIn(t, got.Username, got.AccessToken)
	}
}

func TestAuthlibCanAsk(t *testing.T) {
	got := replay(t, "authlib.http")
	mustLogIn(t, got.Username, got.AccessToken)
}

// replay sends the request of a fixture, with a fresh token in it.
func replay(t *testing.T, fixture string) login {
	t.Helper()
	text, err := os.ReadFile("testdata/" + fixture)
	must(t, err)
	head, body, _ := strings.Cut(strings.ReplaceAll(string(text), "{{token}}", idToken(t)), "\n\n")
	requestLine, headers, _ := strings.Cut(head, "\n")
	if requestLine != "POST /token HTTP/1.1" {
		t.Fatalf("%s begins with %s", fixture, requestLine)
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(headers + "\n\n"))).ReadMIMEHeader()
	must(t, err)
	return run.stack.post(t, http.Header(header), strings.TrimSuffix(body, "\n"))
}

// post asks for a login and wants to get one.
func (d *deployment) post(t *testing.T, header http.Header, form string) login {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/token", strings.NewReader(form))
	must(t, err)
	request.Header = header
	response, err := run.certificate.Client().Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", response.StatusCode, text)
	}
	return parse(t, text)
}

func parse(t *testing.T, text []byte) login {
	t.Helper()
	var l login
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return l
}
