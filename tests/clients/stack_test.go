package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"
	"golang.org/x/oauth2"

	"dbsts/localstack/gateway"
	"dbsts/localstack/runtime"
	"dbsts/localstack/template"
	"dbsts/shared/config"
	"dbsts/tests/shop"
)

// deployment is the exchange function behind its routes, with a configuration of its own.
type deployment struct {
	url      string
	config   config.Config // as the function reads it
	function *runtime.Function
	log      buffer     // what the function wrote
	told     *testing.T // the last test that tell promised that to
}

// deploy makes a deployment that trusts these issuers. The function starts with its first event.
func deploy(ctx context.Context, issuers ...config.Issuer) (*deployment, error) {
	dir, err := os.MkdirTemp(run.dir, "deployment")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "dbsts.yaml")
	functions, err := template.Load(root+"/template.yaml", map[string]string{"ConfigFile": path}, nil)
	if err != nil {
		return nil, err
	}
	f := functions[function]
	d := &deployment{}
	d.function = &runtime.Function{
		Name: function, Binary: filepath.Join(run.dir, "bootstrap"), Env: f.Environment.Variables,
		Timeout: time.Duration(f.Timeout) * time.Second, Memory: f.Memory, Limit: 2, Log: &d.log,
	}
	routes := gateway.Routes{}
	for _, event := range f.Events {
		routes[strings.ToUpper(event.Properties.Method)+" "+event.Properties.Path] = d.function.Invoke
	}
	d.url, err = run.certificate.Serve(ctx, func(string) (http.Handler, error) { return routes, nil })
	if err != nil {
		return nil, err
	}
	document := run.shop.Config
	document.URL, document.Issuers = d.url, issuers
	text, err := yaml.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	if err = os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	d.config, err = config.Load(path)
	return d, err
}

// trusted completes an issuer that has our certificate and a loopback address.
func trusted(i config.Issuer) config.Issuer {
	i.CAFile, i.Private = run.caFile, true
	return i
}

// tell shows a failed test what the function wrote.
func (d *deployment) tell(t *testing.T) {
	t.Helper()
	if d.told == t {
		return
	}
	d.told = t
	before := len(d.log.String())
	t.Cleanup(func() {
		if text := d.log.String()[before:]; t.Failed() && text != "" {
			t.Logf("the function wrote:\n%s", text)
		}
	})
}

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// idToken is a token of the local stack's issuer for an engineer whom nobody has seen before.
func idToken(t *testing.T, changes ...map[string]any) string {
	t.Helper()
	run.stack.tell(t)
	claims := map[string]any{"sub": t.Name(), "groups": []string{"engineers"}, "tenant": "acme"}
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	body, err := json.Marshal(claims)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, run.issuer+"/dev/token", bytes.NewReader(body))
	must(t, err)
	response, err := run.certificate.Client().Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	var token struct {
		Text string `json:"id_token"`
	}
	must(t, json.NewDecoder(response.Body).Decode(&token))
	return token.Text
}

// recorder is an HTTP client that trusts the stack and remembers the requests that it sent.
type recorder struct {
	*http.Client
	headers []http.Header
	forms   []url.Values
}

func record() *recorder {
	r := &recorder{Client: run.certificate.Client()}
	inner := r.Transport
	r.Transport = roundTrip(func(request *http.Request) (*http.Response, error) {
		form := url.Values{}
		if request.GetBody != nil {
			body, err := request.GetBody()
			if err != nil {
				return nil, err
			}
			var text bytes.Buffer
			if _, err = text.ReadFrom(body); err != nil {
				return nil, err
			}
			if form, err = url.ParseQuery(text.String()); err != nil {
				return nil, err
			}
		}
		r.headers, r.forms = append(r.headers, request.Header.Clone()), append(r.forms, form)
		return inner.RoundTrip(request)
	})
	return r
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// withClient is a context that has golang.org/x/oauth2 trust the stack.
func withClient(t *testing.T) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), oauth2.HTTPClient, run.certificate.Client())
}

// mustLogIn wants user and password to work.
func mustLogIn(t *testing.T, user, password string) {
	t.Helper()
	mustConnect(t, run.shop.DSN(user, password, shop.Database), user)
}

// mustLogInWith wants a DSN, as it was answered, to work; all that its user has to add is the server's CA.
func mustLogInWith(t *testing.T, dsn string) {
	t.Helper()
	mustConnect(t, dsn+"&sslrootcert="+url.QueryEscape(run.shop.CAFile), "")
}

func mustConnect(t *testing.T, dsn, user string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var who string
	if err = conn.QueryRow(t.Context(), "SELECT session_user FROM shop.customers").Scan(&who); err != nil {
		t.Fatalf("read as the login: %v", err)
	}
	if !strings.HasPrefix(who, "dbsts_") || user != "" && who != user {
		t.Errorf("logged in as %s, want %s", who, user)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
