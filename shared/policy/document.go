package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object by exact member names; encoding/json would take "Effect" for "effect".
type object struct {
	members map[string]any // string, bool, json.Number, []any, object or nil
	twice   string         // a name that came twice: readers differ in which value counts, so the row is broken
}

// parse reads one JSON document. Numbers stay decimal text.
func parse(doc []byte) (any, error) {
	if !utf8.Valid(doc) { // a decoder would replace bytes, and two different values could become one
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(doc) { // Decoder.Token lets some mistakes pass
		return nil, errors.New("not one JSON document")
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	v, err := next(dec)
	if err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	return v, nil
}

// next reads one value of a valid document.
func next(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := next(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	case json.Delim('{'):
		return nextObject(dec)
	}
	return token, nil
}

func nextObject(dec *json.Decoder) (any, error) {
	o := object{members: map[string]any{}}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // a member name is always a string
		v, err := next(dec)
		if err != nil {
			return nil, err
		}
		if _, again := o.members[name]; again {
			o.twice = name
		}
		o.members[name] = v
	}
	_, err := dec.Token()
	return o, err
}

// only refuses what this code does not know: a newer schema may have added a condition there.
func (o object) only(known ...string) error {
	if o.twice != "" {
		return fmt.Errorf("member %q comes twice", o.twice)
	}
	var unknown []string
	for name := range o.members {
		if !slices.Contains(known, name) {
			unknown = append(unknown, strconv.Quote(name))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("unknown member %s", strings.Join(unknown, ", "))
}

// array reads a member that must be there; null is the empty array, as SQL's jsonb_agg has it.
func (o object) array(name string) ([]any, error) {
	v, ok := o.members[name]
	if list, isList := v.([]any); isList || ok && v == nil {
		return list, nil
	}
	return nil, fmt.Errorf("%s: want an array", name)
}

// text reads a member that must be a non-empty string.
func (o object) text(name string, into *string) error {
	s, ok := o.members[name].(string)
	if !ok || s == "" {
		return fmt.Errorf("%s: want a string that is not empty", name)
	}
	*into = s
	return nil
}

// texts reads an array of non-empty strings; nil when absent or null.
func (o object) texts(name string, into *[]string) error {
	if o.members[name] == nil {
		return nil
	}
	list, ok := o.members[name].([]any)
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], _ = v.(string); out[i] == "" {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%s: want an array of strings that are not empty", name)
	}
	*into = out
	return nil
}

// count reads a whole number from 1; into keeps its value when the member is absent or null.
func (o object) count(name string, most int64, into *int64) error {
	if o.members[name] == nil {
		return nil
	}
	number, _ := o.members[name].(json.Number)
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%s: want a whole number from 1", name)
	}
	*into = n
	return nil
}
