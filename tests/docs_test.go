package tests

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dbsts/shared/config"
)

// pages are what people read: the README and docs, relative to root.
func pages(t *testing.T) []string {
	t.Helper()
	return append(slices.DeleteFunc(sources(t, ".md"), func(file string) bool { return !under(file, "docs") }), "README.md")
}

// fence matches a block of code: its language, and what is in it.
var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks are the code blocks of a page in one language.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	var found []string
	for _, block := range fence.FindAllStringSubmatch(read(t, page), -1) {
		if block[1] == language {
			found = append(found, block[2])
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return found
}

func TestLinksInTheDocsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s: %s leads nowhere", page, found[1])
			} else if anchor != "" && !slices.Contains(anchors(t, file), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, file, anchor)
			}
		}
	}
}

// anchors are the headings of a page as its links name them: lower case, hyphens for spaces, no punctuation.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var found []string
	punctuation := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
		text := punctuation.ReplaceAllString(strings.ToLower(heading[1]), "")
		found = append(found, strings.ReplaceAll(text, " ", "-"))
	}
	return found
}

func TestTasksInTheDocsAreInTheMakefile(t *testing.T) {
	makefile := read(t, "Makefile")
	task := regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)")
	for _, page := range pages(t) {
		for _, found := range task.FindAllStringSubmatch(read(t, page), -1) {
			if !regexp.MustCompile(`(?m)^` + found[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no task `make %s`", page, found[1])
			}
		}
	}
}

func TestTestsInTheDocsExist(t *testing.T) {
	var code strings.Builder
	for _, file := range sources(t, ".go") {
		if strings.HasSuffix(file, "_test.go") {
			code.WriteString(read(t, file))
		}
	}
	for _, page := range pages(t) {
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(read(t, page), -1) {
			if !strings.Contains(code.String(), "func "+name+"(") {
				t.Errorf("%s: there is no test %s", page, name)
			}
		}
	}
}

func TestTheConfigurationExampleIsOne(t *testing.T) {
	for _, example := range blocks(t, "docs/configuration.md", "yaml") {
		// The folder has the ca.pem that the example names.
		if _, err := config.Parse([]byte(example), filepath.Join(root, "shared/config/testdata")); err != nil {
			t.Errorf("the example is refused:\n%v", err)
		}
	}
}

func TestEverySettingIsDocumented(t *testing.T) {
	page := read(t, "docs/configuration.md")
	for _, key := range settings(reflect.TypeFor[config.Config]()) {
		if !regexp.MustCompile("`([a-z_]*\\.)*" + key + "`").MatchString(page) {
			t.Errorf("docs/configuration.md does not name %s", key)
		}
	}
}

// settings lists the YAML keys of a type and of the types in it.
func settings(of reflect.Type) []string {
	var keys []string
	switch {
	case of.Kind() == reflect.Slice:
		return settings(of.Elem())
	case of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Duration]():
		return nil
	}
	for i := range of.NumField() {
		key, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
		inside := settings(of.Field(i).Type)
		if len(inside) == 0 || of.Field(i).Type.Kind() == reflect.Slice {
			keys = append(keys, key)
		}
		keys = append(keys, inside...)
	}
	return keys
}

func TestReasonsAreDocumented(t *testing.T) {
	for _, list := range []struct{ page, file, pattern string }{
		{"docs/audit.md", "shared/engine/postgres/sql/routines/ceilings.sql", `RETURN '([a-z_]+)'`},
		{"docs/audit.md", "shared/engine/postgres/sql/routines/mint.sql", `(?:broken :=|THEN) '([a-z]+_?[a-z]+)'`},
		{"docs/audit.md", "shared/identity/identity.go", `= "([a-z_]+)"`},
		{"docs/audit.md", "shared/policy/policy.go", `(?:Err\w+|nil), "([a-z_]+)"`},
		{"docs/protocol.md", "shared/oauth/errors.go", `(?:Status\w+|bad), (?:code\w+, )?"([a-z_]+)"`},
	} {
		found := regexp.MustCompile(list.pattern).FindAllStringSubmatch(read(t, list.file), -1)
		if len(found) == 0 {
			t.Errorf("no reason in %s: has its form changed?", list.file)
		}
		for _, reason := range found {
			if !strings.Contains(read(t, list.page), "`"+reason[1]+"`") {
				t.Errorf("%s does not name %s of %s", list.page, reason[1], list.file)
			}
		}
	}
}
