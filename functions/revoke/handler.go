package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/shared/edge"
	"dbsts/shared/engine"
	"dbsts/shared/oauth"
)

// revoker is the use case behind POST /revoke.
type revoker interface {
	Revoke(ctx context.Context, possession engine.Possession) error
}

// Handler serves the revocation endpoint.
type Handler struct {
	Broker revoker
	Log    *slog.Logger
}

// Handle answers one event. Its error is always nil: what goes wrong is an answer.
func (h Handler) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return edge.Serve(ctx, h.Log, event, h.route), nil
}

func (h Handler) route(ctx context.Context, r edge.Request, line *edge.Line) oauth.Reply {
	switch {
	case r.Path != oauth.RevokePath:
		return oauth.FromError(oauth.ErrPath, r.RequestID)
	case r.Method != http.MethodPost:
		return oauth.FromError(oauth.ErrNotPost, r.RequestID)
	}
	line.Name = "revoke"
	possession, err := oauth.ParseRevocation(r.Incoming)
	if err == nil {
		line.Grant = possession.Grant
		err = h.Broker.Revoke(ctx, possession)
	}
	line.Err = err
	return oauth.Revoked(err, r.RequestID)
}
