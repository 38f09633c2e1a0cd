// Package edge is what every function does where it meets AWS: payload 2.0 in and out, work that stops before the
// deadline, one log line, no panic that escapes.
//
// It assumes an HTTP API or a function URL in front, never a REST API or a load balancer. It knows the protocol's
// transport-neutral values (package oauth) and decides nothing about them.
package edge

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/shared/oauth"
)

// Request is one HTTP request and where it was sent.
type Request struct {
	oauth.Incoming
	Method string
	Path   string // without the stage
}

// Route answers a request. It fills in the line as it learns; a line without a name is not written.
type Route func(ctx context.Context, r Request, line *Line) oauth.Reply

// Serve decodes the event, lets route work until a second before the deadline, writes the line and encodes the reply.
// A panic in route becomes 500 and a line that says where, not what.
func Serve(ctx context.Context, log *slog.Logger, event events.APIGatewayV2HTTPRequest, route Route) events.APIGatewayV2HTTPResponse {
	ctx, cancel := untilMargin(ctx)
	defer cancel()
	line := &Line{RequestID: event.RequestContext.RequestID, begun: time.Now()}
	reply := answer(ctx, event, line, route)
	line.write(ctx, log, reply.Status)
	return encode(reply)
}

func answer(ctx context.Context, event events.APIGatewayV2HTTPRequest, line *Line, route Route) (reply oauth.Reply) {
	defer func() {
		if value := recover(); value != nil {
			line.Err = caught(value)
			if line.Name == "" {
				line.Name = "panic"
			}
			reply = oauth.FromError(line.Err, line.RequestID)
		}
	}()
	request, err := decode(event)
	if err != nil {
		line.Name, line.Err = "event", err
		return oauth.FromError(err, line.RequestID)
	}
	return route(ctx, request, line)
}

// decode takes payload 2.0 alone. Bodies of forms arrive in base64 from API Gateway and plain from some local stacks.
func decode(event events.APIGatewayV2HTTPRequest) (Request, error) {
	about := event.RequestContext
	if event.Version != "2.0" || about.HTTP.Method == "" {
		return Request{}, oauth.ErrEvent
	}
	if len(event.Body) > base64.StdEncoding.EncodedLen(oauth.MaxBody) {
		return Request{}, oauth.ErrBodyTooLarge // before the work of decoding it
	}
	body := []byte(event.Body)
	if event.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(event.Body)
		if err != nil {
			return Request{}, oauth.ErrForm
		}
		body = decoded
	}
	return Request{
		Incoming: oauth.Incoming{
			Header:    event.Headers,
			Query:     event.RawQueryString,
			Body:      body,
			SourceIP:  about.HTTP.SourceIP,
			RequestID: about.RequestID,
		},
		Method: about.HTTP.Method,
		Path:   withoutStage(event.RawPath, about.Stage),
	}, nil
}

// withoutStage: rawPath starts with the name of every stage but $default.
func withoutStage(path, stage string) string {
	if rest, ok := strings.CutPrefix(path, "/"+stage); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

func encode(reply oauth.Reply) events.APIGatewayV2HTTPResponse {
	return events.APIGatewayV2HTTPResponse{
		StatusCode: reply.Status,
		Headers:    reply.Header,
		Body:       string(reply.Body),
	}
}
