package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxClaimName bounds a claim name or pointer, in bytes.
const maxClaimName = 256

// condition is one line of a rule's match list.
type condition struct {
	claim   string
	slot    int // where the claim's value is found in the group's values
	op      operator
	want    []scalar       // all of one kind; empty for glob, re and present
	pattern *regexp.Regexp // glob and re
}

// operator is how a claim is compared. A number: ten thousand rules compare it on each request.
type operator uint8

const (
	opPresent operator = iota
	opEq
	opIn
	opNotIn
	opHas
	opHasAny
	opHasAll
	opGlob
	opRe
	opLt
	opLe
	opGt
	opGe
)

// operatorNames is in the order of the constants.
var operatorNames = []string{"present", "eq", "in", "not_in", "has", "has_any", "has_all", "glob", "re", "lt", "le", "gt", "ge"}

func (o operator) String() string { return operatorNames[o] }

// value is what one claim of a token holds. The zero value is an absent claim.
type value struct {
	shape shape
	raw   any
	items []scalar // the scalar itself, or the scalars of an array
}

type shape int

const (
	absent shape = iota // not in the token, or null
	single
	list
	other // object, or a number out of bounds
)

func newValue(raw any) value {
	if raw == nil {
		return value{}
	}
	if s, ok := toScalar(raw); ok {
		return value{shape: single, raw: raw, items: []scalar{s}}
	}
	elements, ok := raw.([]any)
	if !ok {
		return value{shape: other, raw: raw}
	}
	v := value{shape: list, raw: raw, items: make([]scalar, 0, len(elements))}
	for _, e := range elements {
		if s, ok := toScalar(e); ok {
			v.items = append(v.items, s)
		}
	}
	return v
}

// holds tells whether the claim satisfies the condition. An absent claim or another type never does, not even for not_in.
func (c *condition) holds(v *value) bool {
	switch c.op {
	case opPresent:
		return v.shape != absent
	case opHas, opHasAny:
		return slices.ContainsFunc(c.want, v.contains)
	case opHasAll:
		return !slices.ContainsFunc(c.want, func(s scalar) bool { return !v.contains(s) })
	}
	if v.shape != single {
		return false
	}
	got := v.items[0]
	switch c.op {
	case opEq, opIn:
		return slices.Contains(c.want, got)
	case opGlob, opRe:
		return got.kind == isString && len(got.text) <= maxText && c.pattern.MatchString(got.text)
	}
	if got.kind != c.want[0].kind {
		return false
	}
	switch c.op {
	case opNotIn:
		return !slices.Contains(c.want, got)
	case opLt:
		return compareNumbers(got, c.want[0]) < 0
	case opLe:
		return compareNumbers(got, c.want[0]) <= 0
	case opGt:
		return compareNumbers(got, c.want[0]) > 0
	case opGe:
		return compareNumbers(got, c.want[0]) >= 0
	}
	return false
}

func (v *value) contains(s scalar) bool { return slices.Contains(v.items, s) }

// keys lists alternative indexes for the condition: of each alternative, a satisfying claim holds at least one value.
func (c *condition) keys() [][]scalar {
	switch c.op {
	case opEq, opIn, opHas, opHasAny:
		return [][]scalar{c.want}
	case opHasAll:
		alternatives := make([][]scalar, len(c.want))
		for i := range c.want {
			alternatives[i] = c.want[i : i+1]
		}
		return alternatives
	}
	return nil
}

// parseCondition reads {claim, op, value}. Anything that it does not know is an error: ignored, it would make an allow
// rule wider.
func parseCondition(v any) (condition, error) {
	o, ok := v.(object)
	if !ok {
		return condition{}, errors.New("not a JSON object")
	}
	var c condition
	var op string
	if err := errors.Join(o.only("claim", "op", "value"), o.text("claim", &c.claim), o.text("op", &op)); err != nil {
		return condition{}, err
	}
	if err := checkClaim("claim", c.claim); err != nil {
		return condition{}, err
	}
	i := slices.Index(operatorNames, op)
	if i < 0 {
		return condition{}, fmt.Errorf("unknown op %q", op)
	}
	c.op = operator(i) //nolint:gosec // 13 names
	value, given := o.members["value"]
	if given && c.op == opPresent {
		return condition{}, errors.New("op present takes no value")
	}
	if err := c.operand(value); err != nil {
		return condition{}, err
	}
	return c, nil
}

// operand sets what the claim is compared with.
func (c *condition) operand(v any) (err error) {
	switch c.op {
	case opPresent:
		return nil
	case opEq, opHas:
		c.want, err = scalars([]any{v})
	case opIn, opNotIn, opHasAny, opHasAll:
		values, ok := v.([]any)
		if !ok || len(values) == 0 {
			return fmt.Errorf("op %s wants an array of at least one value", c.op)
		}
		c.want, err = scalars(values)
	case opLt, opLe, opGt, opGe:
		if c.want, err = scalars([]any{v}); err == nil && c.want[0].kind != isNumber {
			err = fmt.Errorf("op %s wants a number", c.op)
		}
	case opGlob, opRe:
		pattern, ok := v.(string)
		if !ok {
			return fmt.Errorf("op %s wants a string", c.op)
		}
		c.pattern, err = compilePattern(c.op, pattern)
	}
	return err
}

// scalars refuses a list of several types: not_in could not tell which type to insist on, and it is a slip elsewhere.
func scalars(values []any) ([]scalar, error) {
	out := make([]scalar, len(values))
	for i, v := range values {
		s, ok := toScalar(v)
		if !ok {
			return nil, fmt.Errorf("value of type %s, want string, number or boolean", typeName(v))
		}
		if i > 0 && s.kind != out[0].kind {
			return nil, fmt.Errorf("values of two types, %s and %s", out[0].kind, s.kind)
		}
		out[i] = s
	}
	return out, nil
}

// checkClaim checks what a member holds: a claim name, or a JSON Pointer when it starts with a slash (RFC 6901 §3).
func checkClaim(member, claim string) error {
	if claim == "" || len(claim) > maxClaimName {
		return fmt.Errorf("%s: a claim name has 1 to %d bytes", member, maxClaimName)
	}
	if escapes := strings.Count(claim, "~0") + strings.Count(claim, "~1"); claim[0] == '/' && strings.Count(claim, "~") != escapes {
		return fmt.Errorf("%s: %q: in a JSON Pointer ~ is written ~0 and / is written ~1", member, claim)
	}
	return nil
}

// topLevel is the member of the token that a claim name or pointer starts from.
func topLevel(claim string) string {
	if claim[0] != '/' {
		return claim
	}
	first, _, _ := strings.Cut(claim[1:], "/")
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(first)
}
