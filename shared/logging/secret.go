package logging

import (
	"fmt"
	"log/slog"
)

// Secret is a value that cannot print: every way of formatting it gives [redacted]. Its zero value is the empty secret.
// Secrets are not to be compared with ==, which compares where they are kept.
type Secret struct {
	// A pointer, because fmt calls no method for %p nor below an unexported field: there it prints what it finds, and
	// that shall be an address.
	value *string
}

const redacted = "[redacted]"

// NewSecret wraps a secret value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal gives the value out. Its callers are counted by the linter: the wire to the client, and the engines.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty tells whether there is no value.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Format implements fmt.Formatter, so that no verb prints the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, and so JSON, YAML and text log handlers.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
