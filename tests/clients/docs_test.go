package clients_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// block matches a block of code of docs/clients.md: its language, and what is in it.
var block = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// documented gives the block in a language that holds a word.
func documented(t *testing.T, language, word string) string {
	t.Helper()
	for _, found := range blocks(t) {
		if found[1] == language && strings.Contains(found[2], word) {
			return found[2]
		}
	}
	t.Fatalf("docs/clients.md has no block of %s with %s", language, word)
	return ""
}

func blocks(t *testing.T) [][]string {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/clients.md")
	must(t, err)
	return block.FindAllStringSubmatch(string(page), -1)
}

func TestTheGoCodeInTheDocsIsTheCodeThatRunsHere(t *testing.T) {
	code, err := os.ReadFile("snippets_test.go")
	must(t, err)
	seen := 0
	for _, found := range blocks(t) {
		if found[1] != "go" {
			continue
		}
		seen++
		if !strings.Contains(string(code), found[2]) {
			t.Errorf("docs/clients.md has code that snippets_test.go has not:\n%s", found[2])
		}
	}
	if want := strings.Count(string(code), "\nfunc with"); seen != want {
		t.Errorf("docs/clients.md shows %d clients in Go, want %d", seen, want)
	}
}
