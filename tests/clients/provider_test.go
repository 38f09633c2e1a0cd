package clients_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"dbsts/shared/config"
	"dbsts/shared/identity"
	"dbsts/tests/shop"
)

const (
	clientID     = "dbsts" // of us at the providers, hence the audience of their ID tokens
	clientSecret = "client-secret"
	callback     = "https://client.test/callback" // nobody listens there: the code is taken from the redirect
	tokenLife    = 30 * time.Minute
)

func TestRunningProvidersAreTrustworthyIssuers(t *testing.T) {
	t.Run("zitadel", zitadelIsTrustworthy)
	if long() {
		t.Run("oidc-provider", oidcProviderIsTrustworthy)
		t.Run("access tokens of oidc-provider", oidcProvidersAccessTokensAreTakenAsSuch)
	}
}

// provider is a running identity provider that others wrote.
type provider struct {
	metadata
	scopes   []string     // for ID tokens, beside openid
	rotate   func() error // a new key signs from now on; the old one stays published
	withdraw func() error // the old key is published no more
	mu       sync.Mutex
	requests map[string]int // by path
}

// metadata is what the tests need of OpenID Connect Discovery §3.
type metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
}

// serve puts a provider behind HTTPS and discovers it.
func (p *provider) serve(t *testing.T, handler func(url string) (http.Handler, error)) {
	t.Helper()
	p.requests = map[string]int{}
	address, err := run.certificate.Serve(t.Context(), func(url string) (http.Handler, error) {
		inner, err := handler(url)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.requests[r.URL.Path]++
			p.mu.Unlock()
			inner.ServeHTTP(w, r)
		}), err
	})
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/.well-known/openid-configuration", http.NoBody)
	must(t, err)
	response, err := run.certificate.Client().Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	must(t, json.NewDecoder(response.Body).Decode(&p.metadata))
	if p.Issuer != address || p.JWKSURI == "" {
		t.Fatalf("discovery at %s says %+v", address, p.metadata)
	}
}

// fetches counts how often the key set was asked for.
func (p *provider) fetches(t *testing.T) int {
	t.Helper()
	keys, err := url.Parse(p.JWKSURI)
	must(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[keys.Path]
}

// deploy makes a deployment that trusts the provider, and a rule for its tokens.
func (p *provider) deploy(t *testing.T, match string) *deployment {
	t.Helper()
	d, err := deploy(t.Context(), trusted(config.Issuer{
		Issuer: p.Issuer, JWKSURI: p.JWKSURI, Audiences: []string{clientID, resource}, AuthorizedParties: []string{clientID}, AccessTokens: true,
	}))
	must(t, err)
	t.Cleanup(d.function.Close)
	d.tell(t)
	must(t, run.shop.Exec(t.Context(), shop.Database, `INSERT INTO dbsts.rules (id, issuer, target, match, roles)
		VALUES ('provider-`+strings.ToLower(rand.Text())+`', '`+p.Issuer+`', 'shop', '`+match+`', '{app_read}')`))
	return d
}

// signIn gets an ID token as a web application does, by the authorization code flow with PKCE.
func (p *provider) signIn(t *testing.T) string {
	t.Helper()
	application := oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback, Scopes: append([]string{"openid"}, p.scopes...),
		Endpoint: oauth2.Endpoint{AuthURL: p.AuthorizationEndpoint, TokenURL: p.TokenEndpoint},
	}
	pkce := oauth2.GenerateVerifier()
	browser := run.certificate.Client()
	browser.Jar, _ = cookiejar.New(nil) // it never fails
	browser.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		application.AuthCodeURL("state", oauth2.S256ChallengeOption(pkce)), http.NoBody)
	must(t, err)
	response, err := browser.Do(request)
	must(t, err)
	must(t, response.Body.Close())
	back, err := response.Location()
	if err != nil || back.Query().Get("code") == "" {
		t.Fatalf("sign in at %s: it ended at %s with status %d, %v", p.Issuer, response.Request.URL, response.StatusCode, back)
	}
	token, err := application.Exchange(withClient(t), back.Query().Get("code"), oauth2.VerifierOption(pkce))
	must(t, err)
	text, _ := token.Extra("id_token").(string)
	return text
}

// mustBuy exchanges a token at a deployment and logs in.
func (d *deployment) mustBuy(t *testing.T, token, tokenType string) {
	t.Helper()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {"shop"},
		"subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:" + tokenType},
	}
	l := d.post(t, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
	mustLogIn(t, l.Username, l.AccessToken)
}

// verifier is the service's own, with a clock that tests can move.
type verifier struct {
	*identity.Verifier
	ahead time.Duration // of the provider's clock
}

func newVerifier(t *testing.T, d *deployment) *verifier {
	t.Helper()
	v := &verifier{}
	var err error
	v.Verifier, err = identity.New(d.config.Issuers, func() time.Time { return time.Now().Add(v.ahead) })
	must(t, err)
	return v
}

func (v *verifier) allow(t *testing.T, what, token string) identity.Token {
	t.Helper()
	verified, err := v.Verify(t.Context(), token, identity.IDToken)
	if refusal, ok := errors.AsType[*identity.Error](err); ok {
		t.Errorf("%s: refused as %s", what, refusal.Reason)
	}
	return verified
}

func (v *verifier) deny(t *testing.T, what, token, reason string) {
	t.Helper()
	_, err := v.Verify(t.Context(), token, identity.IDToken)
	if refusal, ok := errors.AsType[*identity.Error](err); !ok || refusal.Reason != reason {
		t.Errorf("%s: got %v, want %s", what, err, reason)
	}
}

// mustRotate follows a provider through a rotation of its key: the new one costs one fetch, and the old one is gone for us
// when the set that held it is ten minutes old.
func (p *provider) mustRotate(t *testing.T, d *deployment) {
	t.Helper()
	v := newVerifier(t, d)
	begun := p.fetches(t)
	fetched := func(what string, want int) {
		t.Helper()
		if got := p.fetches(t) - begun; got != want {
			t.Errorf("%s: the key set was fetched %d times, want %d", what, got, want)
		}
	}
	old := p.signIn(t)
	v.allow(t, "before", old)
	fetched("before", 1)

	must(t, p.rotate())
	fresh := p.signIn(t)
	v.ahead = 31 * time.Second // a key set is not asked for twice within 30 s
	for range 2 {
		v.allow(t, "the new key", fresh)
		v.allow(t, "the old key, still published", old)
	}
	fetched("after the rotation", 2)

	must(t, p.withdraw())
	v.allow(t, "the old key, withdrawn a moment ago", old)
	fetched("after the withdrawal", 2)
	v.ahead += 10 * time.Minute
	v.deny(t, "the old key, withdrawn ten minutes ago", old, identity.ReasonKeyUnknown)
	v.allow(t, "the new key, ten minutes later", fresh)
	fetched("ten minutes later", 3)
}

// mustBearSkew wants half a minute between the clocks to be harmless at both ends of a token's life, and five not to be.
func (p *provider) mustBearSkew(t *testing.T, d *deployment) {
	t.Helper()
	v := newVerifier(t, d)
	token := p.signIn(t)
	v.allow(t, "no skew", token)
	v.ahead = -30 * time.Second
	v.allow(t, "our clock is 30 s behind", token)
	v.ahead = -5 * time.Minute
	v.deny(t, "our clock is 5 min behind", token, identity.ReasonTokenNotYetValid)
	v.ahead = 30 * time.Second
	v.allow(t, "our clock is 30 s ahead", token)
	v.ahead = 5 * time.Minute
	end := v.allow(t, "our clock is 5 min ahead of a token that lives longer", token).Expires
	v.ahead = time.Until(end) + 25*time.Second // leaves 5 s for this to happen
	v.allow(t, "our clock is 25 s ahead at the token's end", token)
	v.ahead = time.Until(end) + 5*time.Minute
	v.deny(t, "our clock is 5 min ahead at the token's end", token, identity.ReasonTokenExpired)
}
