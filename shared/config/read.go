package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// This file turns YAML nodes into the types of config.go. The library's own decoder is not used for that because it
// stops at the first unknown key's struct, names Go types instead of paths, and takes 1 for "1" and yes for true.

var durationType = reflect.TypeFor[time.Duration]()

// read decodes node into out, a field of Config or a part of one, and notes where it stands.
func (d *document) read(node *yaml.Node, path string, out reflect.Value) {
	switch {
	case node.Kind == yaml.AliasNode:
		d.reject(path, "is an alias (*): aliases are not read, write the value itself")
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
		d.reject(path, "has no value: fill it in or remove the key")
	case out.Type() == durationType:
		d.readDuration(node, path, out)
	case out.Kind() == reflect.String:
		d.readText(node, path, out)
	case out.Kind() == reflect.Bool:
		d.readBool(node, path, out)
	case out.Kind() == reflect.Int:
		d.readInt(node, path, out)
	case out.Kind() == reflect.Slice:
		d.readList(node, path, out)
	case out.Kind() == reflect.Struct:
		d.readStruct(node, path, out)
	default:
		panic("config: no way to read a " + out.Type().String())
	}
}

func (d *document) readStruct(node *yaml.Node, path string, out reflect.Value) {
	if node.Kind != yaml.MappingNode || node.ShortTag() != "!!map" {
		d.reject(path, "must hold keys and values: %s", strings.Join(keysOf(out.Type()), ", "))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		field := fieldOf(out, key)
		switch first := seen[key.Value]; {
		case !field.IsValid():
			d.mistakes = append(d.mistakes, &Mistake{Line: key.Line, Path: path, Text: unknownKey(key, out.Type())})
		case first != 0:
			d.mistakes = append(d.mistakes, &Mistake{Line: key.Line, Path: at, Text: fmt.Sprintf("is given twice, first in line %d", first)})
		default:
			seen[key.Value] = key.Line
			d.lines[at] = key.Line
			d.read(value, at, field)
		}
	}
}

func unknownKey(key *yaml.Node, t reflect.Type) string {
	known := strings.Join(keysOf(t), ", ")
	if key.Kind != yaml.ScalarNode {
		return "has a key that is not a word; it takes " + known
	}
	if key.Value == "password" {
		return "passwords do not belong into this document: name a password_file or a password_env"
	}
	return fmt.Sprintf("unknown key %q; it takes %s", key.Value, known)
}

// fieldOf finds the field of out that key names; invalid if there is none.
func fieldOf(out reflect.Value, key *yaml.Node) reflect.Value {
	if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
		return reflect.Value{}
	}
	for i, name := range keysOf(out.Type()) {
		if name == key.Value {
			return out.Field(i)
		}
	}
	return reflect.Value{}
}

// keysOf lists the keys of a struct in the order of its fields.
func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return keys
}

func (d *document) readList(node *yaml.Node, path string, out reflect.Value) {
	if node.Kind != yaml.SequenceNode || node.ShortTag() != "!!seq" {
		d.reject(path, "must be a list, even of one")
		return
	}
	if len(node.Content) == 0 {
		d.reject(path, "is an empty list: fill it in or remove the key")
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.lines[at] = item.Line
		d.read(item, at, out.Index(i))
	}
}

func (d *document) readText(node *yaml.Node, path string, out reflect.Value) {
	text := node.Value
	isJWKS := strings.HasSuffix(path, ".jwks") // the only text that may have lines
	switch {
	case isJWKS && node.Kind != yaml.ScalarNode:
		d.reject(path, "must be JSON text: put it between single quotes or below a |")
	case node.Kind != yaml.ScalarNode:
		d.reject(path, "must be one text")
	case node.ShortTag() != "!!str":
		d.reject(path, "must be text: put it between quotes")
	case text == "":
		d.reject(path, "is empty: fill it in or remove the key")
	case !isJWKS && (strings.TrimSpace(text) != text || strings.ContainsFunc(text, unicode.IsControl)):
		d.reject(path, "has spaces around it, a line break or control characters")
	default:
		out.SetString(text)
	}
}

func (d *document) readBool(node *yaml.Node, path string, out reflect.Value) {
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!bool" {
		d.reject(path, "must be true or false")
		return
	}
	out.SetBool(strings.EqualFold(node.Value, "true"))
}

func (d *document) readInt(node *yaml.Node, path string, out reflect.Value) {
	number, err := strconv.Atoi(node.Value)
	// Compared with its own spelling: YAML takes 010000 for octal.
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!int" || err != nil || strconv.Itoa(number) != node.Value {
		d.reject(path, "must be a whole number in plain digits")
		return
	}
	out.SetInt(int64(number))
}

func (d *document) readDuration(node *yaml.Node, path string, out reflect.Value) {
	span, err := time.ParseDuration(node.Value)
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" || err != nil {
		d.reject(path, "must be a time with its unit, such as 10m or 1h30m")
		return
	}
	out.SetInt(int64(span))
}
