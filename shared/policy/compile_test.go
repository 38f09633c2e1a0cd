package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/engine"
	"dbsts/shared/policy"
)

const staff = `{"groups":["g"],"sub":"u"}`

// mistakes break a rule, whether it allows or denies.
var mistakes = []struct {
	name   string
	make   func(row) row
	reason string
}{
	{"unknown member", func(r row) row { return r.with("weekdays", "mon-fri") }, `unknown member "weekdays"`},
	{"other case", func(r row) row { return r.with("Match", 1) }, `unknown member "Match"`},
	{"no match", func(r row) row { return r.without("match") }, `match: want an array`},
	{"empty match", func(r row) row { return r.with("match", []any{}) }, `match: no condition`},
	{"no version", func(r row) row { return r.without("version") }, `version: want a whole number from 1`},
	{"fractional version", func(r row) row { return r.with("version", 1.5) }, `version: want a whole number from 1`},
	{"text lifetime", func(r row) row { return r.with("max_ttl", "900") }, `max_ttl: want a whole number from 1`},
	{"fractional lifetime", func(r row) row { return r.with("max_ttl", 1.9) }, `max_ttl: want a whole number from 1`},
	{"no lifetime at all", func(r row) row { return r.with("max_ttl", 0) }, `max_ttl: want a whole number from 1`},
	{"lifetime beyond the column", func(r row) row { return r.with("max_ttl", 1<<31) }, `max_ttl: want a whole number from 1`},
	{"empty identity", func(r row) row { return r.with("identity", "") }, `identity: want a string that is not empty`},
	{"identity of another type", func(r row) row { return r.with("identity", 1) }, `identity: want a string that is not empty`},
	{"exposes nothing by name", func(r row) row { return r.with("expose", []any{nil}) }, `expose: want an array of strings that are not empty`},
	{"roles as text", func(r row) row { return r.with("roles", "app_read") }, `roles: want an array of strings that are not empty`},
	{"two mistakes", func(r row) row { return r.with("x", 1).with("max_ttl", -1) }, `unknown member "x"; max_ttl: want a whole number from 1`},
}

func TestABrokenAllowRuleNeverMatches(t *testing.T) {
	more := append(mistakes[:len(mistakes):len(mistakes)], []struct {
		name   string
		make   func(row) row
		reason string
	}{
		{"no roles", func(r row) row { return r.with("roles", nil) }, `roles: an allow rule gives at least one`},
		{"default outside roles", func(r row) row { return r.with("default_roles", []string{"app_write"}) }, `default_roles: "app_write" is not among the rule's roles`},
	}...)
	for _, m := range more {
		t.Run(m.name, func(t *testing.T) {
			set := given(t, m.make(rule("bad", group("g"))))
			if got := set.Broken(); len(got) != 1 || got[0].Reason != m.reason || got[0].ID != "bad" || got[0].Effect != "allow" {
				t.Errorf("broken %+v, want reason %q", got, m.reason)
			}
			d := deny(t, set, asking(staff), policy.ErrNoRule, "no_rule")
			if len(d.Trace) != 1 || d.Trace[0].Matched || d.Trace[0].Reason != m.reason {
				t.Errorf("trace %s", inJSON(t, d.Trace))
			}
			// Others are not harmed by it.
			allow(t, given(t, m.make(rule("bad", group("g"))), rule("good", group("g"))), asking(staff), "app_read")
		})
	}
}

func TestABrokenDenyRuleRefusesItsIssuerAndTarget(t *testing.T) {
	more := append(mistakes[:len(mistakes):len(mistakes)], []struct {
		name   string
		make   func(row) row
		reason string
	}{
		{"unknown effect", func(r row) row { return r.with("effect", "block") }, `effect: unknown value "block"`},
		{"effect in capitals", func(r row) row { return r.with("effect", "ALLOW") }, `effect: unknown value "ALLOW"`},
		{"no effect", func(r row) row { return r.without("effect") }, `effect: want a string that is not empty`},
		{"effect null", func(r row) row { return r.with("effect", nil) }, `effect: want a string that is not empty`},
	}...)
	for _, m := range more {
		t.Run(m.name, func(t *testing.T) {
			bad := m.make(denyRule("bad", `[{"claim":"groups","op":"has","value":"nobody"}]`))
			elsewhere := rule("elsewhere", group("g")).with("target", "crm").roles("crm_read")
			set := given(t, rule("good", group("g")), bad, rule("later", `[]`), elsewhere)
			d := deny(t, set, asking(staff), policy.ErrBroken, "rule_broken")
			if len(d.Trace) != 1 || d.Trace[0].ID != "bad" || d.Trace[0].Reason != m.reason {
				t.Errorf("trace %s, want reason %q", inJSON(t, d.Trace), m.reason)
			}
			allow(t, set, query{claims: staff, target: "crm"}, "crm_read")
		})
	}
}

func TestBrokenNamesRowsAndReasons(t *testing.T) {
	set := given(t, rule("r", group("g")).with("version", 3).with("x", 1), rule("good", group("g")))
	want := []policy.Broken{
		{Rule: engine.Rule{ID: "r", Version: 3}, Effect: "allow", Issuer: issuer, Target: target, Reason: `unknown member "x"`},
	}
	if diff := cmp.Diff(want, set.Broken()); diff != "" {
		t.Errorf("broken (-want +got):\n%s", diff)
	}
}

func TestDocumentsThatAreRefusedAsAWhole(t *testing.T) {
	for name, doc := range map[string]string{
		"nothing":                   ``,
		"no JSON":                   `{"rules":[`,
		"an array":                  `[]`,
		"no rules":                  `{"roles":[]}`,
		"no roles":                  `{"rules":[]}`,
		"rules twice":               `{"rules":[],"rules":[],"roles":[]}`,
		"rules of another type":     `{"rules":{},"roles":[]}`,
		"more than one document":    `{"rules":[],"roles":[]}{}`,
		"bytes that are not UTF-8":  "{\"rules\":[],\"roles\":[],\"x\":\"\xff\"}",
		"a rule without id":         `{"rules":[{"issuer":"i","target":"t"}],"roles":[]}`,
		"a rule without issuer":     `{"rules":[{"id":"r","target":"t"}],"roles":[]}`,
		"a rule without target":     `{"rules":[{"id":"r","issuer":"i"}],"roles":[]}`,
		"a rule for a null target":  `{"rules":[{"id":"r","issuer":"i","target":null}],"roles":[]}`,
		"a rule that is no object":  `{"rules":[1],"roles":[]}`,
		"a rule with effect twice":  `{"rules":[{"id":"r","issuer":"i","target":"t","effect":"deny","effect":"allow"}],"roles":[]}`,
		"a role without a target":   `{"rules":[],"roles":[{"role":"x","activation":"inherit"}]}`,
		"a role that is no object":  `{"rules":[],"roles":[null]}`,
		"a role in it twice":        `{"rules":[],"roles":[{"target":"t","role":"x","activation":"set"},{"target":"t","role":"x","activation":"inherit"}]}`,
		"a broken role in it twice": `{"rules":[],"roles":[{"target":"t","role":"x"},{"target":"t","role":"x","activation":"inherit"}]}`,
	} {
		if _, err := policy.Compile([]byte(doc)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDocumentsThatAreFine(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":                        `{"rules":[],"roles":[]}`,
		"null for no rows":             `{"rules":null,"roles":null}`,
		"newer SQL tells more":         `{"rules":[],"roles":[],"schema":7}`,
		"absent members have defaults": `{"rules":[{"id":"r","version":1,"effect":"allow","issuer":"i","target":"t","match":[{"claim":"c","op":"present"}],"roles":["x"]}],"roles":[{"target":"t","role":"x","activation":"set"}]} `,
	} {
		set, err := policy.Compile([]byte(doc))
		if err != nil || set.Broken() != nil {
			t.Errorf("%s: %v, broken %v", name, err, set.Broken())
		}
	}
}

func TestARoleThatCannotBeUnderstoodIsNotAvailable(t *testing.T) {
	for name, member := range map[string]string{
		"activation unknown":     `"activation":"default"`,
		"activation missing":     `"max_ttl":60`,
		"lifetime negative":      `"activation":"inherit","max_ttl":-1`,
		"lifetime as text":       `"activation":"inherit","max_ttl":"60"`,
		"a member not known":     `"activation":"inherit","approval":true`,
		"a member in other case": `"activation":"inherit","Max_ttl":60`,
	} {
		set, err := policy.Compile([]byte(`{"rules":[{"id":"r","version":1,"effect":"allow","issuer":"` + issuer + `","target":"shop",
			"match":[{"claim":"sub","op":"eq","value":"u"}],"roles":["x"]}],"roles":[{"target":"shop","role":"x",` + member + `}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if b := set.Broken(); len(b) != 1 || b[0].Role != "x" || b[0].Target != target || b[0].Reason == "" {
			t.Errorf("%s: broken %+v", name, b)
		}
		deny(t, set, asking(staff, "x"), policy.ErrScope, "role_not_allowed")
	}
}
