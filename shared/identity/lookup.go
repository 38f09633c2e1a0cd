package identity

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds sub, sid, jti and the identity, in bytes (sub: OpenID Connect Core §2, 255 ASCII characters).
const maxText = 255

var (
	integer    = regexp.MustCompile(`\A-?(0|[1-9][0-9]*)\z`)
	arrayIndex = regexp.MustCompile(`\A(0|[1-9][0-9]{0,8})\z`) // RFC 6901 §4: no leading zeros
	badEscape  = regexp.MustCompile(`~([^01]|\z)`)             // RFC 6901 §3
)

// Lookup finds a claim. A name is taken literally and at the top level, dots, colons and inner slashes included, for
// many claim names are URLs; a name that starts with "/" is a JSON Pointer (RFC 6901). It reports whether the claim is
// there: a null that is there is found.
func Lookup(claims map[string]any, claim string) (any, bool) {
	if !strings.HasPrefix(claim, "/") {
		v, ok := claims[claim]
		return v, ok
	}
	if badEscape.MatchString(claim) {
		return nil, false
	}
	var here any = claims
	for _, step := range strings.Split(claim[1:], "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		var ok bool
		switch in := here.(type) {
		case map[string]any:
			here, ok = in[step]
		case []any:
			var i int
			if arrayIndex.MatchString(step) {
				i, _ = strconv.Atoi(step)
				if ok = i < len(in); ok {
					here = in[i]
				}
			}
		}
		if !ok {
			return nil, false
		}
	}
	return here, true
}

// text gives a claim as text that can name something: a printable string, or the digits of an integer.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, printable(v)
	case json.Number:
		return v.String(), len(v) <= maxText && integer.MatchString(v.String())
	}
	return "", false
}

// printable tells whether s is 1 to 255 bytes of visible text. Outer blanks, control and format characters and U+FFFD
// (what damaged text decodes to) would let two identities look alike.
func printable(s string) bool {
	if s == "" || len(s) > maxText || strings.TrimSpace(s) != s {
		return false
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
