package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"dbsts/shared/broker"
	"dbsts/shared/identity"
	"dbsts/shared/oauth"
)

// Outcomes in the log. Metrics and alarms count them.
const (
	outcomeSuccess     = "success"
	outcomeRefused     = "refused"     // the caller's fault, or a rule's will
	outcomeUnavailable = "unavailable" // a dependency's fault
	outcomeFailed      = "failed"      // our fault
)

// Line is the one log line of a request. Its keys are fixed; what is not known is empty. It never holds a token, a
// password or a subject in clear.
type Line struct {
	Name      string // message of the line: exchange, revoke; empty: no line
	Issuer    string
	Subject   string // written as a hash only
	Target    string
	Roles     []string // granted, or asked for when refused
	Login     string
	Grant     string
	ExpiresAt time.Time
	RequestID string
	Err       error
	begun     time.Time
}

func (l *Line) write(ctx context.Context, log *slog.Logger, status int) {
	if l.Name == "" {
		return
	}
	level, outcome := verdict(status)
	reason, text := "", ""
	if l.Err != nil {
		reason, text = oauth.Reason(l.Err), errorText(l.Err)
	}
	expires := ""
	if !l.ExpiresAt.IsZero() {
		expires = l.ExpiresAt.UTC().Format(time.RFC3339)
	}
	log.LogAttrs(ctx, level, l.Name,
		slog.String("outcome", outcome),
		slog.String("reason", reason),
		slog.String("issuer", l.Issuer),
		slog.String("subject_hash", subjectHash(l.Issuer, l.Subject)),
		slog.String("target", l.Target),
		slog.Any("roles", append([]string{}, l.Roles...)),
		slog.String("login", l.Login),
		slog.String("grant_id", l.Grant),
		slog.String("expires_at", expires),
		slog.String("request_id", l.RequestID),
		slog.Int64("duration_ms", time.Since(l.begun).Milliseconds()),
		slog.String("error", text),
	)
}

func verdict(status int) (slog.Level, string) {
	switch {
	case status < http.StatusBadRequest:
		return slog.LevelInfo, outcomeSuccess
	case status < http.StatusInternalServerError:
		return slog.LevelInfo, outcomeRefused
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn, outcomeUnavailable
	}
	return slog.LevelError, outcomeFailed
}

// errorText adds what the errors keep from the caller: why keys could not be had, why a denial is not on record.
func errorText(err error) string {
	text := err.Error()
	if token, ok := errors.AsType[*identity.Error](err); ok && token.Cause != nil {
		text += ": " + token.Cause.Error()
	}
	if denied, ok := errors.AsType[*broker.DeniedError](err); ok && denied.Unrecorded != nil {
		text += "; not on record: " + denied.Unrecorded.Error()
	}
	return text
}

// subjectHash lets an operator follow one subject, and look up a known one, without names in the log: the first 16 hex
// digits of SHA-256 over issuer, line feed, subject.
func subjectHash(issuer, subject string) string {
	if subject == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(issuer + "\n" + subject))
	return hex.EncodeToString(sum[:])[:16]
}
