package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/config"
)

// minimal is the shortest good document; the tests below spoil it.
const minimal = `url: https://dbsts.example.com
issuers:
  - issuer: https://idp.example.com/
    audiences: [dbsts]
    jwks_uri: https://idp.example.com/keys
servers:
  - name: main
    engine: postgres
    address: db.example.com:5432
    home: postgres
    logins:
      exchange: {password_file: exchange}
      revoke: {password_file: revoke}
      sweep: {password_file: sweep}
targets:
  - name: shop
    server: main
    database: shop
`

// edit gives the minimal document with pairs of old and new text exchanged; each old text is there exactly once.
func edit(t *testing.T, pairs ...string) string {
	t.Helper()
	doc := minimal
	for pair := range slices.Chunk(pairs, 2) {
		if n := strings.Count(doc, pair[0]); n != 1 {
			t.Fatalf("%q is in the document %d times", pair[0], n)
		}
		doc = strings.Replace(doc, pair[0], pair[1], 1)
	}
	return doc
}

// spoilt is the minimal document with old replaced by new, and the error that it ends with; none if it is still good.
type spoilt struct{ name, old, new, want string }

func run(t *testing.T, cases []spoilt) {
	t.Helper()
	for _, c := range cases {
		_, err := config.Parse([]byte(edit(t, c.old, c.new)), "testdata")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	const jwks = "jwks_uri: https://idp.example.com/keys"
	run(t, []spoilt{
		{"unchanged", "url", "url", ""},
		{"unknown key", "url:", "uri:", "line 1: unknown key \"uri\"; it takes url, issuers, servers, targets\n" +
			"line 1: url: is missing: the https address of this service, such as https://dbsts.example.com"},
		{"key in another case", "name: shop", "name: shop\n    Server: x", `line 17: targets[0]: unknown key "Server"; it takes name, server, database`},
		{"duplicate key", "name: shop", "name: shop\n    name: shop", "line 17: targets[0].name: is given twice, first in line 16"},
		{"password", "{password_file: sweep}", "{password: hunter2}", "line 14: servers[0].logins.sweep: passwords do not belong into this document: name a password_file or a password_env\n" +
			"line 14: servers[0].logins.sweep: needs a password_file, or for local use a password_env"},
		{"merge key", "name: shop", "<<: {name: shop}", "line 16: targets[0]: unknown key \"<<\"; it takes name, server, database\n" +
			"line 16: targets[0].name: is missing: what callers ask for"},
		{"alias", "name: main", "name: &n main\n    home: *n", "line 8: servers[0].home: is an alias (*): aliases are not read, write the value itself\n" +
			"line 11: servers[0].home: is given twice, first in line 8"},
		{"list as key", "name: shop", "[name]: shop", "line 16: targets[0]: has a key that is not a word; it takes name, server, database\n" +
			"line 16: targets[0].name: is missing: what callers ask for"},
		{"no value", "database: shop", "database:", "line 18: targets[0].database: has no value: fill it in or remove the key"},
		{"empty text", "database: shop", `database: ""`, "line 18: targets[0].database: is empty: fill it in or remove the key"},
		{"number for text", "database: shop", "database: 2024", "line 18: targets[0].database: must be text: put it between quotes"},
		{"number in quotes", "database: shop", `database: "2024"`, ""},
		{"list for text", "database: shop", "database: [shop]", "line 18: targets[0].database: must be one text"},
		{"spaces around text", "database: shop", `database: "shop "`, "line 18: targets[0].database: has spaces around it, a line break or control characters"},
		{"control character", "database: shop", `database: "sh\0op"`, "line 18: targets[0].database: has spaces around it, a line break or control characters"},
		{"tagged text", "database: shop", "database: !shop shop", "line 18: targets[0].database: must be text: put it between quotes"},
		{"text for a list", "[dbsts]", "dbsts", "line 4: issuers[0].audiences: must be a list, even of one"},
		{"empty list", "[dbsts]", "[]", "line 4: issuers[0].audiences: is an empty list: fill it in or remove the key"},
		{"number in a list", "[dbsts]", "[dbsts, 7]", "line 4: issuers[0].audiences[1]: must be text: put it between quotes"},
		{"list item without value", "[dbsts]", "\n      - dbsts\n      -", "line 6: issuers[0].audiences[1]: has no value: fill it in or remove the key"},
		{"text for keys and values", "sweep: {password_file: sweep}", "sweep: sweep", "line 14: servers[0].logins.sweep: must hold keys and values: user, password_file, password_env"},
		{"keys of JSON", jwks, "jwks: {keys: []}", "line 5: issuers[0].jwks: must be JSON text: put it between single quotes or below a |"},
		{"yes", jwks, jwks + "\n    private: yes", "line 6: issuers[0].private: must be true or false"},
		{"true in quotes", jwks, jwks + "\n    private: 'true'", "line 6: issuers[0].private: must be true or false"},
		{"octal number", "home: postgres", "home: postgres\n    scram_iterations: 010000", "line 11: servers[0].scram_iterations: must be a whole number in plain digits"},
		{"fraction", "home: postgres", "home: postgres\n    scram_iterations: 4096.0", "line 11: servers[0].scram_iterations: must be a whole number in plain digits"},
		{"huge number", "home: postgres", "home: postgres\n    scram_iterations: 99999999999999999999", "line 11: servers[0].scram_iterations: must be a whole number in plain digits"},
		{"time without unit", jwks, jwks + "\n    max_token_age: 600", "line 6: issuers[0].max_token_age: must be a time with its unit, such as 10m or 1h30m"},
		{"time in days", jwks, jwks + "\n    max_token_age: 1d", "line 6: issuers[0].max_token_age: must be a time with its unit, such as 10m or 1h30m"},
	})
}

func TestWholeDocument(t *testing.T) {
	t.Parallel()
	const everything = "line 1: url: is missing: the https address of this service, such as https://dbsts.example.com\n" +
		"line 1: issuers: is missing: at least one\nline 1: servers: is missing: at least one\nline 1: targets: is missing: at least one"
	cases := []struct{ name, doc, want string }{
		{"nothing", "", "line 1: the document is empty"},
		{"only comments", "# later\n", "line 1: the document is empty"},
		{"null", "~", "line 1: has no value: fill it in or remove the key"},
		{"no keys", "{}", everything},
		{"a list", "[1]", "line 1: must hold keys and values: url, issuers, servers, targets"},
		{"two documents", minimal + "---\nurl: https://other.example.com\n", "line 19: a second document starts here; only one is read"},
		{"a document that ends", minimal + "...\n", ""},
		{"not YAML", "url: [", "not YAML: yaml: line 1: did not find expected node content"},
		{"not YAML behind the first document", minimal + "---\n[", "not YAML: yaml: line 20: did not find expected node content"},
		{"not UTF-8", "url: \xff", "not YAML: yaml: invalid leading UTF-8 octet"},
		{"too large", minimal + strings.Repeat("#", 256<<10), "line 1: the document is larger than 256 KiB"},
		{"empty lists", "url: https://a\nissuers: []\nservers: []\ntargets: []", "line 2: issuers: is an empty list: fill it in or remove the key\n" +
			"line 3: servers: is an empty list: fill it in or remove the key\nline 4: targets: is an empty list: fill it in or remove the key"},
	}
	for _, c := range cases {
		_, err := config.Parse([]byte(c.doc), "testdata")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("testdata", "bad.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "bad.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Parse(doc, "testdata")
	if err == nil {
		t.Fatal("taken")
	}
	if diff := cmp.Diff(err.Error()+"\n", string(want)); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a password: %v", err)
	}
}
