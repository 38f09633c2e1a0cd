package clients_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func TestOAuth2ClientCredentialsCanAsk(t *testing.T) {
	client := record()
	user, password, err := withOAuth2(context.WithValue(t.Context(), oauth2.HTTPClient, client.Client), run.stack.url, idToken(t))
	must(t, err)
	mustLogIn(t, user, password)
	if got := client.headers[0].Get("Authorization"); got != "" || client.forms[0].Has("client_id") {
		t.Errorf("it authenticated as a client: %q, %v", got, client.forms[0])
	}
}

// It tries an empty id and secret in the header first. Were that refused, it would send the token a second time.
func TestOAuth2MayFindOutTheAuthenticationStyleByItself(t *testing.T) {
	client := record()
	config := clientcredentials.Config{TokenURL: run.stack.url + "/token", Scopes: []string{"app_read"}, EndpointParams: url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {"shop"},
		"subject_token": {idToken(t)}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
	}}
	token, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, client.Client))
	must(t, err)
	if len(client.headers) != 1 || client.headers[0].Get("Authorization") != "Basic Og==" {
		t.Errorf("it asked %d times, first as %q", len(client.headers), client.headers[0].Get("Authorization"))
	}
	if token.TokenType != "N_A" || token.Extra("scope") != "app_read" || time.Until(token.Expiry) < time.Minute {
		t.Errorf("got a %s for %v until %v", token.TokenType, token.Extra("scope"), token.Expiry)
	}
	user, _ := token.Extra("username").(string)
	mustLogIn(t, user, token.AccessToken)
}

func TestOAuth2SeesWhatARefusalSays(t *testing.T) {
	config := clientcredentials.Config{TokenURL: run.stack.url + "/token", AuthStyle: oauth2.AuthStyleInParams, EndpointParams: url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {"elsewhere"},
		"subject_token": {idToken(t)}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}}
	_, err := config.Token(withClient(t))
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refusal.ErrorCode != "invalid_target" || refusal.ErrorDescription == "" {
		t.Errorf("got %v", err)
	}
}

func TestExternalAccountGetsTheWholeDSNThroughItsScopes(t *testing.T) {
	client := record()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client.Client)
	source, err := withExternalAccount(ctx, run.stack.url, func(context.Context) (string, error) { return idToken(t), nil })
	must(t, err)
	token, err := source.Token()
	must(t, err)
	mustLogInWith(t, token.AccessToken)
	if left := time.Until(token.Expiry); left < time.Minute || left > time.Hour {
		t.Errorf("it expires in %v", left) // without expires_in there would have been no token
	}
	if token.TokenType != "Bearer" { // it always asks for an access token
		t.Errorf("token type: got %s", token.TokenType)
	}
	if again, err := source.Token(); err != nil || again.AccessToken != token.AccessToken || len(client.forms) != 1 {
		t.Errorf("the source asked %d times within the login's life, %v", len(client.forms), err)
	}
}

func TestZitadelDiscoversTheEndpointAndGetsADSN(t *testing.T) {
	client := record()
	dsn, err := withZitadel(t.Context(), run.stack.url, idToken(t), tokenexchange.WithHTTPClient(client.Client))
	must(t, err)
	mustLogInWith(t, dsn)
	if len(client.forms) != 2 {
		t.Fatalf("it sent %d requests, want discovery and exchange", len(client.forms))
	}
	for _, empty := range []string{"actor_token", "actor_token_type"} {
		if values, sent := client.forms[1][empty]; !sent || values[0] != "" {
			t.Errorf("%s: got %q, and no longer the empty value that this test is about", empty, values)
		}
	}
}

func TestZitadelWithAStaticEndpointGetsAPasswordButNoUserName(t *testing.T) {
	exchanger, err := tokenexchange.NewTokenExchanger(t.Context(), run.stack.url,
		tokenexchange.WithStaticTokenEndpoint(run.stack.url, run.stack.url+"/token"), tokenexchange.WithHTTPClient(record().Client))
	must(t, err)
	response, err := tokenexchange.ExchangeToken(t.Context(), exchanger, idToken(t), oidc.JWTTokenType, "", "", nil, []string{"shop"}, []string{"app_read"}, "")
	must(t, err)
	if response.TokenType != "N_A" || response.ExpiresIn == 0 || response.Scopes.String() != "app_read" {
		t.Errorf("got %+v", response)
	}
	grant, _, _ := strings.Cut(strings.TrimPrefix(response.AccessToken, "dbsts_"), "_") // its type has no member for the user name
	mustLogIn(t, "dbsts_"+grant, response.AccessToken)
}

func TestTheTokenTypeIsBearerOnRequestOnly(t *testing.T) {
	for requested, want := range map[string]string{
		"": "N_A",
		"urn:dbsts:params:oauth:token-type:db-password": "N_A",
		"urn:dbsts:params:oauth:token-type:db-dsn":      "N_A",
		"urn:ietf:params:oauth:token-type:access_token": "Bearer",
	} {
		form := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {"shop"}, "requested_token_type": {requested},
			"subject_token": {idToken(t)}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		if got := run.stack.post(t, header, form.Encode()); got.TokenType != want || requested != "" && got.IssuedTokenType != requested {
			t.Errorf("requested %q: got %s, %s", requested, got.TokenType, got.IssuedTokenType)
		}
	}
}
