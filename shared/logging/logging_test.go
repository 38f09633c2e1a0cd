package logging_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dbsts/shared/logging"
)

// Shapes that must never be in a log; none of them was ever valid.
var (
	credential = "dbsts_" + strings.Repeat("a2", 13) + "_" + strings.Repeat("z7", 26)
	unsigned   = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."
	token      = unsigned + "c2lnbmF0dXJl"
	encrypted  = "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"
	verifier   = "SCRAM-SHA-256$4096:c2FsdHNhbHQ+/w==$c3RvcmVk+/8=:c2VydmVy+/8="
)

func TestLinesHaveTheShapeThatLambdaReads(t *testing.T) {
	t.Parallel()
	line := logged(t, func(log *slog.Logger) { log.Warn("exchange", "outcome", "denied", "took", 1500*time.Millisecond) })
	for key, want := range map[string]any{"level": "WARN", "message": "exchange", "outcome": "denied", "took": 1.5e9} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	stamp, _ := line["timestamp"].(string)
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil || !strings.HasSuffix(stamp, "Z") || time.Since(at).Abs() > time.Minute {
		t.Errorf("timestamp is %q, want the present time as RFC 3339 in UTC", stamp)
	}
	if len(line) != 5 {
		t.Errorf("line has %d members, want 5: %v", len(line), line)
	}
}

func TestLevelIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"":      "INFO WARN ERROR",
		"bogus": "INFO WARN ERROR",
		"TRACE": "DEBUG INFO WARN ERROR",
		"DEBUG": "DEBUG INFO WARN ERROR",
		"info":  "INFO WARN ERROR",
		"WARN":  "WARN ERROR",
		"ERROR": "ERROR",
		"FATAL": "ERROR",
	}
	for level, want := range cases {
		var out strings.Builder
		log := logging.New(&out, level)
		log.Debug("DEBUG")
		log.Info("INFO")
		log.Warn("WARN")
		log.Error("ERROR")
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, decode(t, line)["message"].(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("level %q logs %v, want %s", level, got, want)
		}
	}
}

func TestLogRedactsWhatOthersLetThrough(t *testing.T) {
	t.Parallel()
	type report struct{ Detail, detail string }
	places := map[string]func(log *slog.Logger, leak string){
		"message":    func(log *slog.Logger, leak string) { log.Info("got " + leak + ", sorry") },
		"string":     func(log *slog.Logger, leak string) { log.Info("m", "k", leak) },
		"quoted":     func(log *slog.Logger, leak string) { log.Info("m", "k", `{"password":"`+leak+`"}`) },
		"key":        func(log *slog.Logger, leak string) { log.Info("m", leak, 1) },
		"error":      func(log *slog.Logger, leak string) { log.Info("m", "error", errors.New("bad: "+leak)) },
		"map":        func(log *slog.Logger, leak string) { log.Info("m", "k", map[string]string{leak: leak}) },
		"struct":     func(log *slog.Logger, leak string) { log.Info("m", "k", report{leak, leak}) },
		"group":      func(log *slog.Logger, leak string) { log.Info("m", slog.Group("g", "k", leak)) },
		"with":       func(log *slog.Logger, leak string) { log.With("k", leak).WithGroup("g").Info("m", "k", leak) },
		"dsn":        func(log *slog.Logger, leak string) { log.Info("m", "k", "postgres://u:"+leak+"@db:5432/shop") },
		"lone bytes": func(log *slog.Logger, leak string) { log.Info("m", "k", json.RawMessage(`"`+leak+`"`)) },
	}
	leaks := map[string]string{
		"credential": credential, "token": token, "unsigned token": unsigned, "encrypted token": encrypted, "verifier": verifier,
	}
	for place, leakInto := range places {
		for kind, leak := range leaks {
			var out strings.Builder
			leakInto(logging.New(&out, ""), leak)
			decode(t, out.String()) // it is still JSON
			if strings.Contains(out.String(), leak) || !strings.Contains(out.String(), "[redacted]") {
				t.Errorf("%s as %s is not redacted: %s", kind, place, out.String())
			}
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	login := credential[:len("dbsts_")+26]
	cases := []struct{ name, text, want string }{
		{"credential", "password=" + credential + " host=db", "password=[redacted] host=db"},
		{"two credentials", credential + "," + credential, "[redacted],[redacted]"},
		{"token", "Bearer " + token, "Bearer [redacted]"},
		{"unsigned token", "<" + unsigned + ">", "<[redacted]>"},
		{"encrypted token", encrypted + "\n", "[redacted]\n"},
		{"verifier", "PASSWORD '" + verifier + "'", "PASSWORD '[redacted]'"},
		{"cut verifier", verifier[:30], "[redacted]"},
		{"all at once", credential + " " + token + " " + verifier, "[redacted] [redacted] [redacted]"},
		{"nothing", "", ""},
		{"plain text", "3 grants ended, 0 due", "3 grants ended, 0 due"},
		{"login name", "login " + login + " ended", "login " + login + " ended"},
		{"function's account", "dbsts_exchange", "dbsts_exchange"},
		{"mechanism", "server offers SCRAM-SHA-256 alone", "server offers SCRAM-SHA-256 alone"},
		{"two parts", "eyJhbGciOiJub25lIn0.db", "eyJhbGciOiJub25lIn0.db"},
		{"issuer", "https://login.example.com/realms/acme", "https://login.example.com/realms/acme"},
	}
	for _, c := range cases {
		if got := logging.Redact(c.text); got != c.want {
			t.Errorf("%s: Redact(%q) = %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

func TestWriteErrorsAreReturned(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	handler := logging.New(writerFunc(func([]byte) (int, error) { return 0, broken }), "").Handler()
	if err := handler.Handle(t.Context(), slog.Record{Message: "m"}); !errors.Is(err, broken) {
		t.Errorf("Handle() = %v, want %v", err, broken)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// logged gives the only line that say writes.
func logged(t *testing.T, say func(*slog.Logger)) map[string]any {
	t.Helper()
	var out strings.Builder
	say(logging.New(&out, ""))
	return decode(t, out.String())
}

func decode(t *testing.T, line string) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		t.Fatalf("not one line of JSON: %v: %s", err, line)
	}
	return members
}
