package policy

import (
	"encoding/json"
	"strconv"
	"strings"
)

// kind is the JSON type of a scalar.
type kind string

const (
	isString  kind = "string"
	isNumber  kind = "number"
	isBoolean kind = "boolean"
)

// maxExponent bounds the decimal exponent of a number, so that adding to it cannot overflow. No claim comes near.
const maxExponent = 1_000_000

// scalar is a JSON string, number or boolean such that == means the same type and exactly the same value. Numbers never
// pass through float64: ids beyond 2^53 would become equal to their neighbours.
type scalar struct {
	kind  kind
	text  string // string: itself; boolean: true or false; number: significant digits d, value ±0.d × 10^point; zero: empty
	neg   bool
	point int
}

// toScalar reports false for arrays, objects, null and numbers that are out of bounds.
func toScalar(v any) (scalar, bool) {
	switch v := v.(type) {
	case string:
		return scalar{kind: isString, text: v}, true
	case bool:
		return scalar{kind: isBoolean, text: strconv.FormatBool(v)}, true
	case json.Number:
		return toNumber(string(v))
	}
	return scalar{}, false
}

// toNumber reads the text of a JSON number (RFC 8259 §6) exactly.
func toNumber(text string) (scalar, bool) {
	mantissa, neg := strings.CutPrefix(text, "-")
	exponent := 0
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(mantissa[i+1:]); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return scalar{}, false
		}
		mantissa = mantissa[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if whole == "" || strings.Trim(digits, "0123456789") != "" {
		return scalar{}, false
	}
	significant := strings.TrimLeft(digits, "0")
	point := len(whole) + exponent - (len(digits) - len(significant))
	significant = strings.TrimRight(significant, "0")
	if significant == "" {
		return scalar{kind: isNumber}, true // zero has one form, -0 too
	}
	return scalar{kind: isNumber, text: significant, neg: neg, point: point}, true
}

// compareNumbers is negative when a < b, zero when equal, positive when a > b. Both must be numbers.
func compareNumbers(a, b scalar) int {
	if c := a.sign() - b.sign(); c != 0 || a.sign() == 0 {
		return c
	}
	c := a.point - b.point
	if c == 0 {
		c = strings.Compare(a.text, b.text) // digits of fractions compare like text
	}
	return c * a.sign()
}

func (s scalar) sign() int {
	switch {
	case s.text == "":
		return 0
	case s.neg:
		return -1
	}
	return 1
}

// typeName is the JSON type of a decoded value, for people.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case []any:
		return "array"
	case map[string]any, object:
		return "object"
	case nil:
		return "null"
	}
	return "unknown"
}
