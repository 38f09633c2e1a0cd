package tests

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The table of attacks in docs/security-model.md has every row, every check is where it says, and every test of the
// suite stands there under its own name.
func TestAttacksInTheDocsAreTried(t *testing.T) {
	const rows, later = 36, 33
	_, section, found := strings.Cut(read(t, "docs/security-model.md"), "\n## Attacks on the token endpoint\n")
	if !found {
		t.Fatal("docs/security-model.md has no section on attacks")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	tried := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^\t\t\{"(\d\d [^"]+)", tries`).FindAllStringSubmatch(read(t, "functions/exchange/attacks_test.go"), -1) {
		tried[name[1]] = true
	}
	line := regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$`)
	for i, row := range line.FindAllStringSubmatch(section, -1) {
		if row[1] != strconv.Itoa(i+1) {
			t.Fatalf("row %s where row %d belongs", row[1], i+1)
		}
		test := strings.Trim(row[3], "`")
		if !tried[test] && i+1 != later {
			t.Errorf("row %d: there is no test %q", i+1, test)
		}
		delete(tried, test)
		if !mustBeChecked(t, row[2]) && i+1 != later {
			t.Errorf("row %d names no check", i+1)
		}
	}
	if n := len(line.FindAllString(section, -1)); n != rows {
		t.Errorf("%d rows, want %d", n, rows)
	}
	for test := range tried {
		t.Errorf("the test %q is in no row", test)
	}
}

// mustBeChecked fails the test unless each function and file that a cell names exists under shared. It reports whether
// the cell names any.
func mustBeChecked(t *testing.T, cell string) bool {
	t.Helper()
	checks := regexp.MustCompile("`([a-z0-9_/]+\\.(?:go|sql))(?::(\\w+))?`").FindAllStringSubmatch(cell, -1)
	for _, check := range checks {
		text := read(t, filepath.Join("shared", check[1]))
		if check[2] != "" && !regexp.MustCompile(`(?m)^func (\([^)]*\) )?`+check[2]+`\(`).MatchString(text) {
			t.Errorf("%s has no func %s", check[1], check[2])
		}
	}
	return len(checks) > 0
}
