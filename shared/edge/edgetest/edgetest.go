// Package edgetest is what the tests of the functions share: events from the folder events, golden files, a log to read.
//
// It assumes to run in a folder functions/<name>. Run tests with -update to write the golden files anew; read the
// difference before it is committed.
package edgetest

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"dbsts/shared/logging"
)

var update = flag.Bool("update", false, "write the golden files anew")

// volatile is what differs from run to run in a log line.
var volatile = regexp.MustCompile(`"(timestamp|duration_ms)":("[^"]*"|\d+)`)

// Event reads events/<name>.json into T as the Lambda runtime would.
func Event[T any](t *testing.T, name string) T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "events", name+".json")) //nolint:gosec // names come from tests
	if err != nil {
		t.Fatal(err)
	}
	var event T
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Fatal(err)
	}
	return event
}

// Log is a logger and the text it has written so far, with times masked.
func Log() (*slog.Logger, func() string) {
	var text bytes.Buffer
	return logging.New(&text, "DEBUG"), func() string { return volatile.ReplaceAllString(text.String(), `"$1":"*"`) }
}

// Response is an answer as a golden file shows it: a JSON body stands open.
func Response(t *testing.T, response events.APIGatewayV2HTTPResponse) any {
	t.Helper()
	var body any = response.Body
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &body); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]any{"status": response.StatusCode, "headers": response.Headers, "body": body}
}

// Golden compares what came out, and the log lines about it, with testdata/<name>.golden.json.
func Golden(t *testing.T, name string, out any, log string) {
	t.Helper()
	lines := []any{}
	for _, line := range bytes.Split([]byte(log), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var members any
		if err := json.Unmarshal(line, &members); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, members)
	}
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any{"out": out, "log": lines}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path) //nolint:gosec // names come from tests
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s differs:\n%s", path, diff)
	}
}
