// Package logging is how dbsts writes its log: one JSON object per line, in the shape that AWS Lambda reads.
//
// It assumes that callers choose what to say and hold what must stay hidden in a Secret. Under that lies a belt: what
// looks like a credential, a token or a verifier is cut out of every line. It does not collect, send or keep lines.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// timeFormat is RFC 3339 with milliseconds, as in Lambda's own JSON lines.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// New makes a logger that writes lines with the members timestamp (RFC 3339, UTC), level and message, and then the
// attributes. Lambda filters by these names (AWS Lambda Developer Guide, "Using structured JSON log format").
//
// The level is the value of AWS_LAMBDA_LOG_LEVEL: TRACE, DEBUG, INFO, WARN, ERROR or FATAL, in any case. Empty or
// unknown means INFO: a misspelt level must not silence a log.
func New(w io.Writer, level string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(redactor{w}, &slog.HandlerOptions{
		Level:       parseLevel(level),
		ReplaceAttr: rename,
	}))
}

func parseLevel(level string) slog.Level {
	switch strings.ToUpper(level) {
	case "TRACE", "DEBUG":
		return slog.LevelDebug
	case "WARN":
		return slog.LevelWarn
	case "ERROR", "FATAL":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// rename gives slog's own members the names that Lambda knows.
func rename(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch {
	case a.Key == slog.MessageKey:
		a.Key = "message"
	case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
		return slog.String("timestamp", a.Value.Time().UTC().Format(timeFormat))
	}
	return a
}

// redactor is the belt. It works on whole lines, not on attributes, so that maps, structs, errors and keys are covered
// as well. slog writes each line with one call, and nothing that Redact looks for is changed by JSON's escapes.
type redactor struct{ w io.Writer }

// Write implements io.Writer. It counts the bytes it was given, not those it wrote.
func (r redactor) Write(line []byte) (int, error) {
	if _, err := io.WriteString(r.w, Redact(string(line))); err != nil {
		return 0, fmt.Errorf("log: %w", err)
	}
	return len(line), nil
}
