package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder, seen from this package.
const root = ".."

// The budgets keep every part readable in one go. All are in lines.
const (
	fileBudget       = 300 // Go and SQL, tests included
	functionBudget   = 60  // outside tests
	mainBudget       = 40  // functions/*/main.go
	localstackBudget = 900 // outside tests
)

// topLevel is every folder that may stand beside the dot-folders. bin is what make build leaves.
var topLevel = []string{"bin", "cmd", "docs", "events", "functions", "infra", "localstack", "shared", "tests"}

func TestTopLevelHoldsWhatTheReadmeLists(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("unexpected folder %s", e.Name())
		}
	}
}

func TestFilesStayShort(t *testing.T) {
	stack := 0
	for _, file := range sources(t, ".go", ".sql") {
		if generated(t, file) {
			continue
		}
		lines := countLines(t, file)
		if lines > fileBudget {
			t.Errorf("%s has %d lines, more than %d: is it two things?", file, lines, fileBudget)
		}
		if under(file, "functions") && filepath.Base(file) == "main.go" && lines > mainBudget {
			t.Errorf("%s has %d lines, more than %d: main only wires", file, lines, mainBudget)
		}
		if under(file, "localstack") && !strings.HasSuffix(file, "_test.go") && strings.HasSuffix(file, ".go") {
			stack += lines
		}
	}
	if stack > localstackBudget {
		t.Errorf("localstack has %d lines of Go, more than %d", stack, localstackBudget)
	}
}

func TestFunctionsStayShort(t *testing.T) {
	for _, file := range sources(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || generated(t, file) {
			continue
		}
		set, tree := parse(t, file)
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > functionBudget {
				t.Errorf("%s: %s has %d lines, more than %d", file, f.Name.Name, lines, functionBudget)
			}
		}
	}
}

// sources lists the project's files that end in one of exts, relative to root. What was built, downloaded or is test data is left out.
func sources(t *testing.T, exts ...string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			hidden := path != root && strings.HasPrefix(e.Name(), ".")
			if hidden || slices.Contains([]string{"bin", "testdata", "node_modules"}, e.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.Contains(exts, filepath.Ext(path)) {
			relative, err := filepath.Rel(root, path)
			files = append(files, filepath.ToSlash(relative))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no %v files under %s", exts, root)
	}
	return files
}

func parse(t *testing.T, file string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, filepath.Join(root, file), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, tree
}

func generated(t *testing.T, file string) bool {
	t.Helper()
	if filepath.Ext(file) != ".go" {
		return false
	}
	_, tree := parse(t, file)
	return ast.IsGenerated(tree)
}

func countLines(t *testing.T, file string) int {
	t.Helper()
	return strings.Count(read(t, file), "\n")
}

// read returns the text of a file of the project.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
