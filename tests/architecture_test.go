// Package tests proves what no single package can: that the tree keeps its shape, and that the parts work together.
//
// It assumes a checkout with the go command at hand. End-to-end cases start real servers through tests/servers.
package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "dbsts/"

// floors says where a package stands. A sub-package stands where its nearest listed parent stands.
var floors = map[string]int{
	"shared/logging":         -1, // below the ground floor: configuration hands out its Secret
	"shared/config":          0,
	"shared/identity":        1,
	"shared/engine":          1,
	"shared/policy":          2,
	"shared/broker":          3,
	"shared/oauth":           4,
	"shared/engine/postgres": 4,
	"shared/wiring":          5,
	"shared/edge":            5,
	"functions":              6,
	"cmd":                    6,
	"localstack":             7,
}

// outsiders says which packages may import what is not ours; everything below a listed folder may. Tests may import anything.
var outsiders = []struct {
	imports string
	allowed []string
}{
	{"github.com/aws/aws-lambda-go", []string{"functions", "shared/edge", "localstack"}},
	{"github.com/jackc/pgx", []string{"shared/engine/postgres", "cmd", "localstack"}},
	{"database/sql", nil},
	{"github.com/coreos/go-oidc", []string{"shared/identity"}},
	{"testing", nil},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// path is the package's folder, relative to the module.
func (p goPackage) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// testSupport tells whether p serves tests only, like net/http/httptest: package tests and below, and shared/**/…test.
func (p goPackage) testSupport() bool {
	return under(p.path(), "tests") || strings.HasSuffix(p.path(), "test")
}

func TestImportsOnlyGoDown(t *testing.T) {
	for _, p := range packages(t) {
		if p.testSupport() {
			continue
		}
		from, known := floor(p.path())
		if !known {
			t.Errorf("%s stands on no floor: give it one here and in .golangci.yml", p.path())
		}
		for _, imported := range ownImports(p) {
			to, known := floor(imported)
			switch {
			case under(p.path(), "localstack") && under(imported, "tests/servers"): // starts its servers as tests do
			case !known:
				t.Errorf("%s imports %s, which serves tests only", p.path(), imported)
			case to >= from && !sameFamily(p.path(), imported):
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.path(), from, imported, to)
			}
		}
	}
}

func TestOutsideModulesStayWhereTheyBelong(t *testing.T) {
	for _, p := range packages(t) {
		if p.testSupport() {
			continue
		}
		for _, imported := range p.Imports {
			for _, o := range outsiders {
				mayImport := slices.ContainsFunc(o.allowed, func(folder string) bool { return under(p.path(), folder) })
				if under(imported, o.imports) && !mayImport {
					t.Errorf("%s imports %s; only %v may", p.path(), imported, o.allowed)
				}
			}
		}
	}
}

func TestOnlyFunctionsAndCommandsWire(t *testing.T) {
	for _, p := range packages(t) {
		if p.testSupport() || under(p.path(), "functions") || under(p.path(), "cmd") {
			continue
		}
		if slices.Contains(ownImports(p), "shared/wiring") {
			t.Errorf("%s imports shared/wiring", p.path())
		}
	}
}

// under tells whether path is folder or lies below it.
func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// sameFamily tells whether a and b hang under the same listed parent. Two functions, or two commands, are no family.
func sameFamily(a, b string) bool {
	return nearest(a) == nearest(b) && !under(a, "functions") && !under(a, "cmd")
}

// floor is false for what stands on none, as test support does.
func floor(path string) (int, bool) {
	n, known := floors[nearest(path)]
	return n, known && !goPackage{ImportPath: module + path}.testSupport()
}

// nearest is the closest listed parent of path, or path itself; "" when there is none.
func nearest(path string) string {
	for ; path != "."; path = filepath.Dir(path) {
		if _, listed := floors[path]; listed {
			return path
		}
	}
	return ""
}

// ownImports are the folders of this module that p imports outside its tests.
func ownImports(p goPackage) []string {
	var own []string
	for _, imported := range p.Imports {
		if path, ok := strings.CutPrefix(imported, module); ok {
			own = append(own, path)
		}
	}
	return own
}

// packages lists every package of the module, those that do not compile included.
func packages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	list.Dir = root
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < len(floors)/2 {
		t.Fatalf("go list sees %d packages; is %s the module?", len(all), root)
	}
	return all
}
