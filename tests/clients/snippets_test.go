package clients_test

import (
	"context"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/google/externalaccount"
)

// What follows stands in docs/clients.md, word for word.

func withOAuth2(ctx context.Context, service, idToken string) (user, password string, err error) {
	config := clientcredentials.Config{
		TokenURL:  service + "/token",
		AuthStyle: oauth2.AuthStyleInParams, // there is no client secret
		EndpointParams: url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
			"subject_token":      {idToken},
			"audience":           {"shop"},
		},
	}
	token, err := config.Token(ctx)
	if err != nil {
		return "", "", err
	}
	user, _ = token.Extra("username").(string) // likewise host, database, dsn …
	return user, token.AccessToken, nil
}

type supplier func(ctx context.Context) (idToken string, err error)

func (s supplier) SubjectToken(ctx context.Context, _ externalaccount.SupplierOptions) (string, error) {
	return s(ctx)
}

func withExternalAccount(ctx context.Context, service string, idToken supplier) (oauth2.TokenSource, error) {
	return externalaccount.NewTokenSource(ctx, externalaccount.Config{
		TokenURL:             service + "/token",
		Audience:             "shop",
		SubjectTokenType:     "urn:ietf:params:oauth:token-type:id_token",
		SubjectTokenSupplier: idToken,
		Scopes:               []string{"fmt:dsn"}, // roles may stand beside it
	})
}

func withZitadel(ctx context.Context, service, idToken string, options ...func(*tokenexchange.OAuthTokenExchange)) (dsn string, err error) {
	exchanger, err := tokenexchange.NewTokenExchanger(ctx, service, options...)
	if err != nil {
		return "", err
	}
	response, err := tokenexchange.ExchangeToken(ctx, exchanger, idToken, oidc.IDTokenType, "", "", nil, []string{"shop"}, nil,
		"urn:dbsts:params:oauth:token-type:db-dsn")
	if err != nil {
		return "", err
	}
	return response.AccessToken, nil
}
