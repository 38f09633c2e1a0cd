package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxPattern = 256  // bytes of a glob or re pattern
	maxText    = 1024 // bytes of a claim that a pattern is tried on; a longer one does not match
	minPrefix  = 4    // literal characters before the first * of a glob
)

// anchor compiles a pattern that must cover the whole value. The group keeps alternatives together, and \z, unlike $, is
// never before a last newline. The pattern is first compiled alone: "a)|(b" must not close our group.
func anchor(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil { // a lone \Q would quote our closing part
		return nil, fmt.Errorf("pattern cannot be anchored: %w", err)
	}
	return re, nil
}

// compilePattern compiles the value of op glob or re.
func compilePattern(op operator, pattern string) (*regexp.Regexp, error) {
	if pattern == "" || len(pattern) > maxPattern {
		return nil, fmt.Errorf("pattern has %d bytes, want 1 to %d", len(pattern), maxPattern)
	}
	if op == opGlob {
		return compileGlob(pattern)
	}
	return anchor(pattern)
}

// compileGlob compiles a glob: * is any run of characters inside one segment, and segments end at / and :. Everything
// else is literal.
func compileGlob(glob string) (*regexp.Regexp, error) {
	prefix, _, star := strings.Cut(glob, "*")
	switch {
	case strings.Contains(glob, "?"):
		return nil, errors.New("glob: ? is not supported")
	case strings.Contains(glob, "**"):
		return nil, errors.New("glob: ** is not supported, * stays inside one segment")
	case star && utf8.RuneCountInString(prefix) < minPrefix:
		return nil, fmt.Errorf("glob: want at least %d literal characters before the first *", minPrefix)
	}
	parts := strings.Split(glob, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return anchor(strings.Join(parts, `[^/:]*`))
}
