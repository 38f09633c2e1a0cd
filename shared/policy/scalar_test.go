package policy

import (
	"encoding/json"
	"math/big"
	"regexp"
	"testing"
)

// FuzzNumbersCompareLikeRationals holds our decimals against math/big.
func FuzzNumbersCompareLikeRationals(f *testing.F) {
	for _, s := range []string{"0", "-0", "1", "1.9", "-1.90", "9007199254740993", "9007199254740992", "1e3", "1000.0", "0.001e6", "12e-400", "123", "0.12"} {
		f.Add(s, "1.9")
		f.Add(s, "9007199254740992")
		f.Add(s, "0.12")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 40 || len(b) > 40 || !json.Valid([]byte(a)) || !json.Valid([]byte(b)) {
			return
		}
		x, okX := toNumber(a)
		y, okY := toNumber(b)
		if !okX || !okY || abs(x.point) > 1000 || abs(y.point) > 1000 {
			return
		}
		p, okP := new(big.Rat).SetString(a)
		q, okQ := new(big.Rat).SetString(b)
		if !okP || !okQ {
			t.Fatalf("%q or %q is read as a number", a, b)
		}
		if got, want := sign(compareNumbers(x, y)), p.Cmp(q); got != want {
			t.Errorf("%s against %s: %d, want %d", a, b, got, want)
		}
		if got, want := x == y, p.Cmp(q) == 0; got != want {
			t.Errorf("%s equals %s: %v, want %v", a, b, got, want)
		}
	})
}

func abs(n int) int { return max(n, -n) }

func sign(n int) int { return max(-1, min(1, n)) }

// FuzzAnchoredPatternsCoverTheWholeValue: what surrounds a match is never passed over.
func FuzzAnchoredPatternsCoverTheWholeValue(f *testing.F) {
	for _, s := range []string{"", "\n", "x", " ", "\x00", "\r\n", "a", "b"} {
		f.Add("a", "b", s, "")
		f.Add("a", "b", "", s)
		f.Add("repo", "acme$", s, s)
	}
	f.Fuzz(func(t *testing.T, a, b, before, after string) {
		if len(a)+len(b) > 60 {
			return
		}
		re, err := anchor(regexp.QuoteMeta(a) + "|" + regexp.QuoteMeta(b))
		if err != nil {
			return // not UTF-8
		}
		if !re.MatchString(a) || !re.MatchString(b) {
			t.Errorf("%q|%q does not match its own alternatives", a, b)
		}
		for _, value := range []string{before + a + after, before + b + after} {
			if re.MatchString(value) && value != a && value != b {
				t.Errorf("%q|%q matches %q", a, b, value)
			}
		}
	})
}

// FuzzAGlobKeepsItsSegments: a value that matches has the pattern's separators, one for one, and its literal start.
func FuzzAGlobKeepsItsSegments(f *testing.F) {
	f.Add("repo:acme/*", "repo:acme/shop")
	f.Add("repo:acme/*:ref:refs/heads/*", "repo:acme/shop:ref:refs/heads/a/b")
	f.Add("acme*x", "acme/x")
	f.Fuzz(func(t *testing.T, glob, value string) {
		re, err := compilePattern(opGlob, glob)
		if err != nil || !re.MatchString(value) {
			return
		}
		separators := regexp.MustCompile(`[^/:]+`)
		if got, want := separators.ReplaceAllString(value, ""), separators.ReplaceAllString(glob, ""); got != want {
			t.Errorf("%q matches %q: separators %q, want %q", glob, value, got, want)
		}
		if len(value) < minPrefix && value != glob {
			t.Errorf("%q matches %q", glob, value)
		}
	})
}
