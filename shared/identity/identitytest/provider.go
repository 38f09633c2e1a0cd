package identitytest

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"dbsts/shared/config"
)

// Provider is an issuer's key server on loopback, over HTTPS.
type Provider struct {
	*httptest.Server
	Fetches     atomic.Int64 // requests
	Connections atomic.Int64 // even those that sent nothing
	CAFile      string
	handler     atomic.Pointer[http.HandlerFunc]
}

// NewProvider serves a key set until the test ends.
func NewProvider(t testing.TB, keySet string) *Provider {
	t.Helper()
	return NewProviderWith(t, keySet, nil)
}

// NewProviderWith does so under TLS settings of its own; nil works.
func NewProviderWith(t testing.TB, keySet string, settings *tls.Config) *Provider {
	t.Helper()
	p := &Provider{}
	p.Serve(keySet)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Fetches.Add(1)
		(*p.handler.Load())(w, r)
	}))
	p.TLS = settings
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.Connections.Add(1)
		}
	}
	p.StartTLS()
	t.Cleanup(p.Close)
	p.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	doc := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(p.CAFile, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// Serve changes the key set.
func (p *Provider) Serve(keySet string) {
	p.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySet)) })
}

// Answer changes how the server answers.
func (p *Provider) Answer(h http.HandlerFunc) { p.handler.Store(&h) }

// Fail makes the server answer 500.
func (p *Provider) Fail() {
	p.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}

// Issuer is the configuration that trusts this server, all defaults filled in.
func (p *Provider) Issuer() config.Issuer {
	issuer := Static("")
	issuer.JWKSURI, issuer.CAFile, issuer.Private = p.URL+"/keys", p.CAFile, true
	return issuer
}

// Static is the configuration of an issuer whose keys need no fetching, all defaults filled in.
func Static(keySet string) config.Issuer {
	return config.Issuer{
		Issuer: Issuer, Audiences: []string{Audience}, Algorithms: []string{"RS256", "ES256"}, JWKS: keySet,
		MaxTokenAge: time.Hour, MaxTokenLife: 24 * time.Hour, Identity: "sub",
	}
}
