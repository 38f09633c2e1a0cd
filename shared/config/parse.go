package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDocument is the size in bytes up to which a document is read. Thousands of targets fit; what is larger is not ours.
const maxDocument = 256 << 10

// Mistake is one thing that is wrong in a document. Its text never repeats what could be a password or a key.
type Mistake struct {
	Line int    // counted from 1; for a key that is missing, the line of what it is missing from
	Path string // for instance issuers[0].algorithms[1], counted from 0; empty: the document itself
	Text string // what is wrong and, where that is not plain, what to write instead
}

func (m *Mistake) Error() string {
	if m.Path == "" {
		return fmt.Sprintf("line %d: %s", m.Line, m.Text)
	}
	return fmt.Sprintf("line %d: %s: %s", m.Line, m.Path, m.Text)
}

// Load reads the document at path. Errors are those of Parse, after the path.
func Load(path string) (Config, error) {
	doc, err := readFile(path, maxDocument)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	cfg, err := Parse(doc, filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return cfg, nil
}

// Parse reads a document, fills in the defaults and checks all of it. Relative file paths start at the folder dir; the
// certificate files that it names are opened. The error joins every mistake found, each a *Mistake, in the order of
// lines; only a document that is not YAML ends with its first error.
func Parse(doc []byte, dir string) (Config, error) {
	root, err := parseYAML(doc)
	if err != nil {
		return Config{}, err
	}
	d := &document{dir: dir, lines: map[string]int{"": root.Line}, broken: map[string]bool{}}
	var cfg Config
	d.read(root, "", reflect.ValueOf(&cfg).Elem())
	d.check(&cfg)
	if err := d.err(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// parseYAML gives the root node of the only document in doc.
func parseYAML(doc []byte) (*yaml.Node, error) {
	if len(doc) > maxDocument {
		return nil, &Mistake{Line: 1, Text: fmt.Sprintf("the document is larger than %d KiB", maxDocument>>10)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(doc))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, &Mistake{Line: 1, Text: "the document is empty"}
	case err != nil:
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Mistake{Line: second.Line, Text: "a second document starts here; only one is read"}
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	return first.Content[0], nil
}

// document is what is known of a document while it is read: where everything stands and what is wrong.
type document struct {
	dir      string          // where relative file paths start
	lines    map[string]int  // line of every path that is written in the document
	broken   map[string]bool // paths that could not be read: what follows from that is not reported as well
	mistakes []*Mistake
}

// has tells whether path is written in the document, rightly or wrongly.
func (d *document) has(path string) bool { return d.lines[path] != 0 }

// require reports that path is missing, if it is. The hint says what belongs there.
func (d *document) require(path, hint string) {
	if !d.has(path) {
		d.report(path, "is missing: %s", hint)
	}
}

// line gives the line of path or, if it is not written, that of the nearest thing around it.
func (d *document) line(path string) int {
	for !d.has(path) {
		path = parent(path)
	}
	return d.lines[path]
}

// report notes a mistake at path, unless path lies in something that is reported as unreadable.
func (d *document) report(path, format string, args ...any) {
	for at := path; ; at = parent(at) {
		if d.broken[at] {
			return
		}
		if at == "" {
			break
		}
	}
	d.mistakes = append(d.mistakes, &Mistake{Line: d.line(path), Path: path, Text: fmt.Sprintf(format, args...)})
}

// reject is report for a value that has the wrong form, so that checks of it have nothing to say.
func (d *document) reject(path, format string, args ...any) {
	d.report(path, format, args...)
	d.broken[path] = true
}

func (d *document) err() error {
	slices.SortStableFunc(d.mistakes, func(a, b *Mistake) int { return a.Line - b.Line })
	all := make([]error, len(d.mistakes))
	for i, m := range d.mistakes {
		all[i] = m
	}
	return errors.Join(all...)
}

// parent cuts the last step off a path: a[0].b → a[0] → a → "".
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }
