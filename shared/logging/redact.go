package logging

import (
	"regexp"
	"strings"
)

// shapes are what Redact cuts out, each with a literal that every match starts with: looking for that first costs a
// line without secrets next to nothing.
var shapes = []struct {
	start   string
	pattern *regexp.Regexp
}{
	// A password that dbsts minted: grant and secret. The grant alone, which is the login's name, stays.
	{"dbsts_", regexp.MustCompile(`dbsts_[a-z2-7]{26}_[a-z2-7]{52}`)},
	// A compact JWS or JWE (RFC 7515 §3.1, RFC 7516 §3.1): three or five parts, the first a JSON object in base64url.
	{"eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){2,4}`)},
	// A SCRAM verifier as PostgreSQL keeps it: SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>.
	{"SCRAM-SHA-256$", regexp.MustCompile(`SCRAM-SHA-256\$[A-Za-z0-9+/=:$]+`)},
}

// Redact replaces everything in text that has the shape of a credential, a token or a verifier by [redacted]. It is the
// last belt, for texts that others wrote; what is known to be secret belongs into a Secret.
func Redact(text string) string {
	for _, shape := range shapes {
		if strings.Contains(text, shape.start) {
			text = shape.pattern.ReplaceAllString(text, redacted)
		}
	}
	return text
}
