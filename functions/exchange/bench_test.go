package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	neturl "net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"dbsts/shared/broker"
	"dbsts/shared/config"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
	"dbsts/tests/bench"
	"dbsts/tests/shop"
)

var table bench.Table

func TestMain(m *testing.M) { os.Exit(bench.Main(m, &table)) }

// lives is the lifetime that the shop's rule gives.
const lives = 15 * time.Minute

// BenchmarkOneClient: an exchange, from the event's bytes to the answer's, by turns with the mint that it cannot do without.
func BenchmarkOneClient(b *testing.B) {
	const pairs = 300
	for _, version := range bench.Versions {
		mint := bench.Open(b, version)
		documents := ready(b, mint, pairs+bench.Warm)
		p := bench.Measure(b, pairs, exchanging(b, mint, 1), func() error { return mint.Call(b.Context(), <-documents) },
			func() error { return mint.Clean(b.Context()) })
		table.Add(bench.Row{
			What: "exchange, one client / bare mint", Server: mint.Version(), Spread: p.Ratio(), Target: "≤ 1.25",
			Beside: p.Beside("exchange", "mint"),
		})
	}
}

// BenchmarkManyClients: the same with 16 clients who all want one role, in windows that take turns.
func BenchmarkManyClients(b *testing.B) {
	const (
		windows = 6
		span    = 3 * time.Second
	)
	for _, version := range bench.Versions {
		mint := bench.Open(b, version)
		exchange := exchanging(b, mint, bench.Clients)
		var ratios, exchanges, mints []float64
		for range windows {
			documents := ready(b, mint, 3_000)
			bare := bench.PerSecond(b, bench.Clients, span, func(int) error { return mint.Call(b.Context(), <-documents) })
			clean(b, mint)
			ours := bench.PerSecond(b, bench.Clients, span, func(int) error { return exchange() })
			clean(b, mint)
			ratios, exchanges, mints = append(ratios, ours/bare), append(exchanges, ours), append(mints, bare)
		}
		table.Add(bench.Row{
			What: "exchanges per second, 16 clients, one role / bare mints", Server: mint.Version(), Spread: bench.Of(ratios), Target: "≥ 0.75",
			Beside: fmt.Sprintf("exchanges %.0f/s, mints %.0f/s; %d windows of %v each", bench.Of(exchanges).Value, bench.Of(mints).Value, windows, span),
		})
	}
}

func clean(b *testing.B, mint *bench.Mint) {
	b.Helper()
	if err := mint.Clean(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// ready makes documents ahead of their use.
func ready(b *testing.B, mint *bench.Mint, n int) <-chan string {
	b.Helper()
	documents := make(chan string, n)
	for range n {
		doc, err := mint.Document(bench.Visitor, lives)
		if err != nil {
			b.Fatal(err)
		}
		documents <- doc
	}
	return documents
}

// exchanging is the function as Lambda calls it: bytes in, bytes out; the caller may be one of several at once.
func exchanging(b *testing.B, mint *bench.Mint, clients int32) func() error {
	b.Helper()
	verifier, err := identity.New([]config.Issuer{bench.Issuer()}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	s := mint.Shop
	server := broker.NewServer(s.Engine(b, s.Logins().Exchange, clients))
	exchanger := broker.NewExchanger(verifier, map[string]broker.Terms{shop.Issuer: {Replay: "allow"}},
		map[string]broker.Place{shop.Target: {Engine: "postgres", Host: s.Host, Port: s.Port, Server: server}}, server)
	function := lambda.NewHandler(Handler{Broker: exchanger, URL: url, Log: logging.New(io.Discard, "")}.Handle)
	event := tokenEvent(b, bench.Token())
	return func() error {
		answer, err := function.Invoke(b.Context(), event)
		if err == nil && !bytes.Contains(answer, []byte(`"statusCode":200`)) {
			err = fmt.Errorf("not exchanged: %s", answer)
		}
		return err
	}
}

// tokenEvent is what API Gateway sends for an exchange with that token.
func tokenEvent(b *testing.B, token string) []byte {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "events", "exchange.json"))
	if err != nil {
		b.Fatal(err)
	}
	var event events.APIGatewayV2HTTPRequest
	if err = json.Unmarshal(raw, &event); err != nil {
		b.Fatal(err)
	}
	form := neturl.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "audience": {shop.Target}, "scope": {"app_read"},
	}
	event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(form.Encode())), true
	if raw, err = json.Marshal(event); err != nil {
		b.Fatal(err)
	}
	return raw
}
