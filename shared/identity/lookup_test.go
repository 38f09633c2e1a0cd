package identity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLookup(t *testing.T) {
	claims, err := strictObject([]byte(`{"sub":"alice","nul":null,"a.b":"dots","https://x.example/g":["one","two"],"/slash":"s","":"empty",
		"realm":{"roles":["r0","r1"],"a/b":"slash","m~n":"tilde","~1":"both","m~2n":"bad","m~":"bad","":"inner","0":"zero"}}`))
	if err != nil {
		t.Fatal(err)
	}
	found := func(claim string, want any) {
		t.Helper()
		if got, ok := Lookup(claims, claim); !ok || !cmp.Equal(got, want) {
			t.Errorf("%q: %v %v, want %v", claim, got, ok, want)
		}
	}
	absent := func(claim string) {
		t.Helper()
		if got, ok := Lookup(claims, claim); ok {
			t.Errorf("%q: found %v", claim, got)
		}
	}
	found("sub", "alice")
	found("/sub", "alice")
	found("nul", nil)
	found("a.b", "dots")
	found("https://x.example/g", []any{"one", "two"})
	found("/https:~1~1x.example~1g/1", "two")
	found("/~1slash", "s")
	found("", "empty")
	found("/", "empty")
	found("/realm/roles/0", "r0")
	found("/realm/a~1b", "slash")
	found("/realm/m~0n", "tilde")
	found("/realm/~01", "both")
	found("/realm/", "inner")
	found("/realm/0", "zero")
	for _, claim := range []string{
		"Sub", "realm/roles", "/slash", "/sub/0", "/sub/", "/realm/roles/2", "/realm/roles/-1", "/realm/roles/-", "/realm/roles/00",
		"/realm/roles/01", "/realm/roles/+1", "/realm/roles/1e0", "/realm/roles/99999999999999999999", "/realm/roles/", "/nul/x", "/realm/m~2n",
		"/realm/m~", "//sub", "/realm/roles/0/x",
	} {
		absent(claim)
	}
}
