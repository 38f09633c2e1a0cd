package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dbsts/shared/policy"
)

// holds decides with one rule that has this one condition on claim c; the token is {"c": claim}, or {} for "".
func holds(t testing.TB, op, value, claim string) bool {
	t.Helper()
	match := `[{"claim":"c","op":"` + op + `"}]`
	if value != "" {
		match = `[{"claim":"c","op":"` + op + `","value":` + value + `}]`
	}
	set := given(t, rule("r", match))
	if broken := set.Broken(); broken != nil {
		t.Fatalf("%s %s is broken: %v", op, value, broken)
	}
	token := `{}`
	if claim != "" {
		token = `{"c":` + claim + `}`
	}
	_, err := set.Decide(asking(token).request(t))
	if err != nil && !errors.Is(err, policy.ErrNoRule) {
		t.Fatal(err)
	}
	return err == nil
}

func TestOperators(t *testing.T) {
	long := func(n int) string { return `"repo:` + strings.Repeat("a", n-5) + `"` }
	for _, c := range []struct {
		op, value string
		yes, no   []string // claims
	}{
		{"eq", `"x"`, []string{`"x"`, `"\u0078"`}, []string{`"X"`, `" x"`, `"x\n"`, `""`, `["x"]`, `{"x":"x"}`, `1`, `true`, `null`, ``}},
		{"eq", `""`, []string{`""`}, []string{`null`, ``, `[]`, `0`, `false`}},
		{"eq", `true`, []string{`true`}, []string{`"true"`, `1`, `"1"`, `false`, `[true]`, ``}},
		{"eq", `false`, []string{`false`}, []string{`"false"`, `0`, `""`, `null`, ``}},
		{"eq", `"true"`, []string{`"true"`}, []string{`true`, `"True"`}},
		{"eq", `1`, []string{`1`, `1.0`, `1e0`, `10e-1`, `0.1E+1`}, []string{`"1"`, `1.9`, `true`, `-1`, `0.9999999999999999999999`, `[1]`}},
		{"eq", `"1"`, []string{`"1"`}, []string{`1`, `"1.0"`, `"01"`}},
		{"eq", `9007199254740993`, []string{`9007199254740993`, `9007199254740993.0`}, []string{`9007199254740992`, `9007199254740994`, `9.007199254740992e15`}},
		{"eq", `12345678901234567`, []string{`12345678901234567`}, []string{`12345678901234568`}},
		{"eq", `0`, []string{`0`, `-0`, `0.0`, `0e9`}, []string{`1e-400`, `-1e-400`, `false`, `null`}},
		{"eq", `1e400`, []string{`1e400`, `10e399`}, []string{`1e401`, `1e999999999999999999999`}},
		{"in", `["a","b"]`, []string{`"a"`, `"b"`}, []string{`"ab"`, `"A"`, `["a"]`, `["a","b"]`, `1`, ``}},
		{"in", `[1,2]`, []string{`1`, `2.0`}, []string{`3`, `"1"`, `1.9`}},
		{"has", `"admin"`, []string{`["admin"]`, `["a","admin"]`, `"admin"`}, []string{`"not-admin-group"`, `["not-admin-group"]`, `["Admin"]`, `[["admin"]]`, `{"admin":true}`, `[]`, `null`, ``}},
		{"has", `7`, []string{`[7]`, `7`, `[6,7.0]`}, []string{`["7"]`, `[7.9]`}},
		{"has", `true`, []string{`[true]`, `true`}, []string{`["true"]`, `[1]`}},
		{"has_any", `["a","b"]`, []string{`["b","x"]`, `"a"`, `["a","b"]`}, []string{`["x"]`, `[]`, `"ab"`, `{"a":1}`, ``}},
		{"has_all", `["a","b"]`, []string{`["b","x","a"]`, `["a","b"]`}, []string{`["a"]`, `"a"`, `[]`, `["a","B"]`, `{"a":1,"b":1}`, ``}},
		{"has_all", `["a"]`, []string{`["a"]`, `"a"`, `["a",1,null]`}, []string{`[]`, ``, `null`}},
		{"not_in", `["a","b"]`, []string{`"c"`, `""`, `"A"`}, []string{`"a"`, `"b"`, `1`, `true`, `["c"]`, `[]`, `{}`, `null`, ``}},
		{"not_in", `[1]`, []string{`2`, `1.9`}, []string{`1`, `1.0`, `"2"`, ``}},
		{"present", ``, []string{`"x"`, `""`, `0`, `false`, `[]`, `{}`}, []string{`null`, ``}},
		{"lt", `2`, []string{`1.9`, `-3`, `1.9999999999999999999999`, `-2`}, []string{`2`, `2.0`, `3`, `"1"`, `[1]`, `true`, ``}},
		{"le", `2`, []string{`2`, `1.9`, `20e-1`}, []string{`2.0000000000000000000001`, `"2"`}},
		{"gt", `9007199254740992`, []string{`9007199254740993`}, []string{`9007199254740992`, `9007199254740991`}},
		{"ge", `-1.5`, []string{`-1.5`, `-1.49`, `0`, `1`}, []string{`-1.51`, `-2`, `"0"`, `null`, ``}},
		{"gt", `0`, []string{`1e-400`, `0.1`}, []string{`0`, `-0`, `-1`}},
		{"glob", `"repo:acme/*"`, []string{`"repo:acme/shop"`, `"repo:acme/"`}, []string{`"repo:acme/shop/x"`, `"repo:acme/shop:ref"`, `"repo:acme"`, `"xrepo:acme/shop"`, `"Repo:acme/shop"`, `["repo:acme/shop"]`, `1`, ``}},
		{"glob", `"repo:acme/*:ref:refs/heads/rel-*"`, []string{`"repo:acme/shop:ref:refs/heads/rel-1"`}, []string{`"repo:acme/shop:ref:refs/heads/rel-1/x"`, `"repo:acme/a:b:ref:refs/heads/rel-1"`, `"repo:acme/shop/ref:refs/heads/rel-1"`}},
		{"glob", `"dependabot[bot].*"`, []string{`"dependabot[bot].x"`}, []string{`"dependabotb.x"`, `"dependabot[bot]x"`}},
		{"glob", `"repo:*"`, []string{long(1024)}, []string{long(1025)}},
		{"re", `"a|b"`, []string{`"a"`, `"b"`}, []string{`"ab"`, `"ax"`, `"xb"`, `"a|b"`, `"a\n"`, `"\nb"`, `["a"]`, `1`, ``}},
		{"re", `"a$"`, []string{`"a"`}, []string{`"a\n"`, `"a\nb"`}},
		{"re", `"(?m)^a$"`, []string{`"a"`}, []string{`"a\n"`, `"b\na"`, `"a\nb"`}},
		{"re", `"repo:.*"`, []string{`"repo:x"`, long(1024)}, []string{`"repo:x\ny"`, long(1025)}},
		{"re", `"v[0-9]+"`, []string{`"v10"`}, []string{`"v10-rc"`, `"xv10"`, `"v"`}},
	} {
		for _, claim := range c.yes {
			if !holds(t, c.op, c.value, claim) {
				t.Errorf("%s %s does not hold for claim %s", c.op, c.value, claim)
			}
		}
		for _, claim := range c.no {
			if holds(t, c.op, c.value, claim) {
				t.Errorf("%s %s holds for claim %q", c.op, c.value, claim)
			}
		}
	}
}

func TestClaimsAreNamesOrPointers(t *testing.T) {
	const token = `{"https://acme/roles":"x","cognito:groups":["x"],"a/b":"x","m~n":"x","":"x","~1":"no",
		"kubernetes.io":{"namespace":"x","pod":null},"list":["x",{"deep":"x"}],"realm_access":{"roles":["x"]}}`
	at := func(claim string) bool {
		set := given(t, rule("r", fmt.Sprintf(`[{"claim":%q,"op":"has","value":"x"}]`, claim)))
		if set.Broken() != nil {
			t.Fatalf("claim %q: %v", claim, set.Broken())
		}
		_, err := set.Decide(asking(token).request(t))
		return err == nil
	}
	for _, claim := range []string{
		"https://acme/roles", "cognito:groups", "a/b", "/a~1b", "/m~0n", "m~n", "/", "/kubernetes.io/namespace", "/list/0",
		"/list/1/deep", "/realm_access/roles", "/realm_access/roles/0",
	} {
		if !at(claim) {
			t.Errorf("claim %q is not found", claim)
		}
	}
	for _, claim := range []string{
		"kubernetes.io/namespace", "kubernetes.io.namespace", "/a/b", "/kubernetes.io/pod", "/kubernetes.io/namespace/", "/list/00",
		"/list/2", "/list/-", "/list/-1", "/list/+0", "/Realm_access/roles", "realm_access", "/~01", "//", "/list/1/deep/0",
	} {
		if at(claim) {
			t.Errorf("claim %q is found", claim)
		}
	}
}

func TestConditionsThatCannotBeUnderstood(t *testing.T) {
	for _, c := range []struct{ match, reason string }{
		{`[{"claim":"c","op":"equals","value":"x"}]`, `match 0: unknown op "equals"`},
		{`[{"claim":"c","op":"EQ","value":"x"}]`, `match 0: unknown op "EQ"`},
		{`[{"claim":"c","value":"x"}]`, `match 0: op: want a string that is not empty`},
		{`[{"op":"eq","value":"x"}]`, `match 0: claim: want a string that is not empty`},
		{`[{"claim":"c","op":"eq","value":"x","negate":true}]`, `match 0: unknown member "negate"`},
		{`[{"claim":"c","op":"eq","value":"x","Op":"in"}]`, `match 0: unknown member "Op"`},
		{`[{"claim":"c","op":"eq","value":"y","value":"x"}]`, `match 0: member "value" comes twice`},
		{`[{"claim":"ok","op":"present"},"eq"]`, `match 1: not a JSON object`},
		{`[null]`, `match 0: not a JSON object`},
		{`{"claim":"c"}`, `match: want an array`},
		{`[]`, `match: no condition`},
		{`null`, `match: no condition`},
		{`[{"claim":"c","op":"eq"}]`, `match 0: value of type null, want string, number or boolean`},
		{`[{"claim":"c","op":"eq","value":null}]`, `match 0: value of type null, want string, number or boolean`},
		{`[{"claim":"c","op":"eq","value":["x"]}]`, `match 0: value of type array, want string, number or boolean`},
		{`[{"claim":"c","op":"has","value":{"x":1}}]`, `match 0: value of type object, want string, number or boolean`},
		{`[{"claim":"c","op":"in","value":"x"}]`, `match 0: op in wants an array of at least one value`},
		{`[{"claim":"c","op":"not_in","value":[]}]`, `match 0: op not_in wants an array of at least one value`},
		{`[{"claim":"c","op":"has_all","value":[]}]`, `match 0: op has_all wants an array of at least one value`},
		{`[{"claim":"c","op":"in","value":["1",1]}]`, `match 0: values of two types, string and number`},
		{`[{"claim":"c","op":"lt","value":"2"}]`, `match 0: op lt wants a number`},
		{`[{"claim":"c","op":"present","value":false}]`, `match 0: op present takes no value`},
		{`[{"claim":"c","op":"glob","value":"*"}]`, `match 0: glob: want at least 4 literal characters before the first *`},
		{`[{"claim":"c","op":"glob","value":"ab/*"}]`, `match 0: glob: want at least 4 literal characters before the first *`},
		{`[{"claim":"c","op":"glob","value":"äöü*"}]`, `match 0: glob: want at least 4 literal characters before the first *`},
		{`[{"claim":"c","op":"glob","value":"acme/**"}]`, `match 0: glob: ** is not supported, * stays inside one segment`},
		{`[{"claim":"c","op":"glob","value":"acme/sho?"}]`, `match 0: glob: ? is not supported`},
		{`[{"claim":"c","op":"glob","value":["acme/a"]}]`, `match 0: op glob wants a string`},
		{`[{"claim":"c","op":"re","value":""}]`, `match 0: pattern has 0 bytes, want 1 to 256`},
		{`[{"claim":"c","op":"re","value":"` + strings.Repeat("a", 257) + `"}]`, `match 0: pattern has 257 bytes, want 1 to 256`},
		{`[{"claim":"c","op":"re","value":"a)|(b"}]`, "match 0: pattern: error parsing regexp: unexpected ): `a)|(b`"},
		{`[{"claim":"c","op":"re","value":"\\Qa"}]`, "match 0: pattern cannot be anchored: error parsing regexp: missing closing ): `\\A(?:\\Qa)\\z`"},
		{`[{"claim":"/a~b","op":"present"}]`, `match 0: claim: "/a~b": in a JSON Pointer ~ is written ~0 and / is written ~1`},
		{`[{"claim":"` + strings.Repeat("a", 257) + `","op":"present"}]`, `match 0: claim: a claim name has 1 to 256 bytes`},
	} {
		set := given(t, rule("r", c.match))
		broken := set.Broken()
		if len(broken) != 1 || broken[0].Reason != c.reason {
			t.Errorf("match %s\n got %v\nwant reason %q", c.match, broken, c.reason)
		}
		deny(t, set, asking(`{"c":"x","ok":1}`), policy.ErrNoRule, "no_rule")
	}
}
