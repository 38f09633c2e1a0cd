// Package gateway turns HTTPS into API Gateway events and answers back: HTTP API, payload 2.0, stage $default.
//
// It assumes exact methods and paths, answers of text, no authorizer, no CORS, no custom domain. It does not throttle, and leaves time-outs to the function.
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/localstack/runtime"
	"dbsts/tests/servers/pki"
)

const bodyBytes, headerBytes = 10 << 20, 10240 // quotas of API Gateway HTTP APIs; the request line is header

// Routes maps a route key ("POST /token") to what invokes its function.
type Routes map[string]func(ctx context.Context, event []byte) ([]byte, error)

// ServeHTTP invokes the route's function and writes what it answers. The gateway's own errors are {"message": …}: 404,
// 413, 500 (the function failed), 503 (it timed out or is busy).
func (routes Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	if routes[key] == nil {
		refuse(w, http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge)
		return
	}
	answer := events.APIGatewayV2HTTPResponse{}
	event, _ := json.Marshal(Event(r, key, body))                      // strings and numbers only
	raw, err := routes[key](context.WithoutCancel(r.Context()), event) // a client that goes away does not end an invocation
	err = errors.Join(err, json.Unmarshal(raw, &answer))
	switch {
	case errors.Is(err, runtime.ErrTimeout), errors.Is(err, runtime.ErrThrottled):
		refuse(w, http.StatusServiceUnavailable)
	case err != nil, answer.StatusCode < http.StatusOK:
		refuse(w, http.StatusInternalServerError)
	default:
		for name, value := range answer.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.WriteString(w, answer.Body) // the client went away
	}
}

// refuse is what the gateway itself says.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+http.StatusText(status)+`"}`) // the client went away
}

// Event is the payload 2.0 event of a request. Bodies that AWS does not take for text, form data among them, are base64.
func Event(r *http.Request, routeKey string, body []byte) events.APIGatewayV2HTTPRequest {
	now := time.Now()
	sourceIP, _, _ := net.SplitHostPort(r.RemoteAddr) // written by net/http
	event := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: routeKey, RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery, Body: string(body),
		Headers: map[string]string{"host": r.Host, "content-length": strconv.Itoa(len(body)), "x-forwarded-for": sourceIP, "x-forwarded-proto": "https"},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: routeKey, AccountID: "000000000000", APIID: "local", Stage: "$default", RequestID: rand.Text(), DomainName: r.Host,
			Time: now.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: sourceIP},
		},
	}
	event.RequestContext.HTTP.UserAgent = r.UserAgent()
	for name, values := range r.Header {
		event.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read is not text
	if len(body) > 0 && !strings.HasPrefix(kind, "text/") && !slices.Contains([]string{"application/json", "application/xml", "application/javascript"}, kind) {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return event
}

// Certificate is for localhost, 127.0.0.1 and ::1, signed by a CA of its own whose key is forgotten.
type Certificate struct{ pki.Loopback }

// NewCertificate makes one.
func NewCertificate() (*Certificate, error) {
	made, err := pki.NewLoopback()
	return &Certificate{made}, err
}

// Serve answers HTTPS on a free loopback port until ctx ends. The handler is made when its address, url, is known.
func (c *Certificate) Serve(ctx context.Context, handler func(url string) (http.Handler, error)) (url string, err error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", err
	}
	url = fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: headerBytes,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{c.Pair}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // a handshake that fails is its client's story to tell
	}
	server.Handler, err = handler(url)
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.ServeTLS(listener, "", "") }() // ends with Close
	return url, err
}
