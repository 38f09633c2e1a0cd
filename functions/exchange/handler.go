package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/shared/broker"
	"dbsts/shared/edge"
	"dbsts/shared/identity"
	"dbsts/shared/oauth"
)

// exchanger is the use case behind POST /token.
type exchanger interface {
	Exchange(ctx context.Context, request broker.Request) (broker.Answer, error)
}

// Handler serves the token endpoint and the discovery documents.
type Handler struct {
	Broker exchanger
	URL    string // our own https address, without a path
	Log    *slog.Logger
}

// Handle answers one event. Its error is always nil: what goes wrong is an answer.
func (h Handler) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return edge.Serve(ctx, h.Log, event, h.route), nil
}

func (h Handler) route(ctx context.Context, r edge.Request, line *edge.Line) oauth.Reply {
	switch r.Path {
	case oauth.TokenPath:
		if r.Method == http.MethodPost {
			return h.exchange(ctx, r, line)
		}
		return oauth.FromError(oauth.ErrNotPost, r.RequestID)
	case oauth.MetadataPath, oauth.OpenIDPath:
		if r.Method == http.MethodGet {
			return oauth.Metadata(h.URL)
		}
		return oauth.FromError(oauth.ErrNotGet, r.RequestID)
	}
	return oauth.FromError(oauth.ErrPath, r.RequestID)
}

func (h Handler) exchange(ctx context.Context, r edge.Request, line *edge.Line) oauth.Reply {
	line.Name = "exchange"
	x, err := oauth.ParseExchange(r.Incoming, h.URL)
	if err != nil {
		line.Err = err
		return oauth.FromError(err, r.RequestID)
	}
	line.Target, line.Roles = x.Target, x.Roles
	answer, err := h.Broker.Exchange(ctx, x.Request)
	if err != nil {
		line.Err = err
		line.Issuer, line.Subject = subjectOf(err)
		return oauth.FromError(err, r.RequestID)
	}
	line.Issuer, line.Subject = answer.Issuer, answer.Subject
	line.Roles, line.Login = answer.Roles, answer.Login
	line.Grant, line.ExpiresAt = answer.Grant, answer.ExpiresAt
	return x.Issued(answer)
}

// subjectOf is who was refused, as far as that is proven.
func subjectOf(err error) (issuer, subject string) {
	if denied, ok := errors.AsType[*broker.DeniedError](err); ok {
		return denied.Token.Issuer, denied.Token.Subject
	}
	if token, ok := errors.AsType[*identity.Error](err); ok {
		return token.Token.Issuer, token.Token.Subject
	}
	return "", ""
}
