package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/policy"
)

func TestTheGrantKeepsTheClaimsThatRulesRead(t *testing.T) {
	set := given(t,
		rule("r", `[{"claim":"groups","op":"has","value":"g"},{"claim":"/org/id","op":"eq","value":7}]`).with("expose", []string{"tenant"}),
		rule("other", `[{"claim":"dept","op":"eq","value":"x"}]`),
		rule("far", `[{"claim":"secret","op":"present"}]`).with("target", "crm"),
		denyRule("no", `[{"claim":"risk","op":"eq","value":"high"},{"claim":"missing","op":"present"},{"claim":"nil","op":"present"}]`))
	d := allow(t, set, asking(`{"groups":["g"],"org":{"id":7.0},"dept":"y","risk":"low","secret":"s","email":"e","nil":null,"tenant":"t"}`), "app_read")
	want := map[string]any{"groups": []any{"g"}, "/org/id": json.Number("7.0"), "dept": "y", "risk": "low"}
	if diff := cmp.Diff(want, d.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"tenant": "t"}, d.Exposed); diff != "" {
		t.Errorf("exposed (-want +got):\n%s", diff)
	}
}

func TestOnlyRulesThatGiveARoleExpose(t *testing.T) {
	set := given(t,
		rule("r", group("g")).with("expose", []string{"tenant", "/org/ids", "org", "mixed", "none", "nil", "empty"}),
		rule("w", group("g")).roles("app_write").with("expose", []string{"region"}),
		rule("n", group("other")).with("expose", []string{"sub"}))
	in := `{"groups":["g"],"sub":"u","tenant":7,"org":{"ids":["a","b"]},"mixed":["a",{}],"nil":null,"empty":[],"region":true}`
	d := allow(t, set, asking(in, "app_read"), "app_read")
	want := map[string]any{"tenant": json.Number("7"), "/org/ids": []any{"a", "b"}, "empty": []any{}}
	if diff := cmp.Diff(want, d.Exposed); diff != "" {
		t.Errorf("exposed (-want +got):\n%s", diff)
	}
	want["region"] = true
	d = allow(t, set, asking(in), "app_read", "app_write")
	if diff := cmp.Diff(want, d.Exposed); diff != "" {
		t.Errorf("exposed (-want +got):\n%s", diff)
	}
}

func TestRulesThatGiveTheRolesAgreeOnTheIdentity(t *testing.T) {
	set := given(t,
		rule("a", group("a")).with("identity", "oid"),
		rule("b", group("b")).with("identity", "/user/id"),
		rule("c", group("c")),
		rule("d", group("d")).with("identity", "oid").roles("app_write"))
	for _, c := range []struct {
		groups, identity string
		want             []string
	}{
		{`["a"]`, "oid", []string{"app_read"}},
		{`["b"]`, "/user/id", []string{"app_read"}},
		{`["c"]`, "", []string{"app_read"}},
		{`["a","d"]`, "oid", []string{"app_read", "app_write"}},
	} {
		if d := allow(t, set, asking(`{"groups":`+c.groups+`}`), c.want...); d.Identity != c.identity {
			t.Errorf("groups %s: identity %q, want %q", c.groups, d.Identity, c.identity)
		}
	}
	for _, groups := range []string{`["a","b"]`, `["a","c"]`, `["c","d"]`} {
		d := deny(t, set, asking(`{"groups":`+groups+`}`), policy.ErrNoRule, "identity_ambiguous")
		if !d.Trace[0].Matched || d.Trace[0].Reason != "identity_ambiguous" {
			t.Errorf("trace %s", inJSON(t, d.Trace))
		}
	}
	// A rule that gives nothing of what was asked has no say.
	if d := allow(t, set, asking(`{"groups":["c","d"]}`, "app_write"), "app_write"); d.Identity != "oid" {
		t.Errorf("identity %q", d.Identity)
	}
}

func TestClaimsLeftOutOfTheTokenRefuse(t *testing.T) {
	onGroups := given(t, rule("all", `[{"claim":"tid","op":"eq","value":"t"}]`), denyRule("leavers", group("leavers")))
	onRoles := given(t, rule("r", `[{"claim":"tid","op":"eq","value":"t"},{"claim":"/realm/roles","op":"has","value":"x"}]`))
	onNeither := given(t, rule("all", `[{"claim":"tid","op":"eq","value":"t"}]`))
	exposing := given(t, rule("all", `[{"claim":"tid","op":"eq","value":"t"}]`).with("expose", []string{"groups"}))
	named := given(t, rule("all", `[{"claim":"tid","op":"eq","value":"t"}]`).with("identity", "groups"))
	const realm = `"realm":{"roles":["x"]}`
	for _, c := range []struct {
		token     string
		reads     *policy.Set
		overage   bool
		refused   bool
		alsoPlain bool // refused without the flag too
	}{
		{`{"tid":"t","_claim_names":{"groups":"src1"}}`, onGroups, true, true, true},
		{`{"tid":"t","_claim_names":{"groups":"src1"}}`, exposing, true, true, true},
		{`{"tid":"t","_claim_names":{"groups":"src1"}}`, named, true, true, true},
		{`{"tid":"t","_claim_names":{"groups":"src1"}}`, onNeither, true, false, false},
		{`{"tid":"t","_claim_names":{"groups":"src1"},` + realm + `}`, onRoles, true, false, false},
		{`{"tid":"t","_claim_names":{"realm":"src1"},` + realm + `}`, onRoles, true, true, true},
		{`{"tid":"t","_claim_names":{"a":"s","groups":"s"}}`, onGroups, true, true, true},
		{`{"tid":"t","_claim_names":{"groups":"s"},"groups":["x"]}`, onGroups, true, true, true},
		{`{"tid":"t","_claim_names":["groups"]}`, onNeither, true, true, true},
		{`{"tid":"t","_claim_names":{}}`, onGroups, true, false, false},
		{`{"tid":"t","hasgroups":true}`, onGroups, true, true, true},
		{`{"tid":"t","hasgroups":"true"}`, onGroups, true, true, true},
		{`{"tid":"t","hasgroups":true}`, onNeither, true, false, false},
		{`{"tid":"t","hasgroups":false}`, onGroups, true, false, false},
		{`{"tid":"t"}`, onNeither, true, true, false},
		{`{"tid":"t"}`, onGroups, false, false, false},
	} {
		q := query{claims: c.token, overage: c.overage}
		if !c.refused {
			allow(t, c.reads, q, "app_read")
			continue
		}
		deny(t, c.reads, q, policy.ErrOverage, "claims_overage")
		q.overage = false
		if c.alsoPlain {
			deny(t, c.reads, q, policy.ErrOverage, "claims_overage")
		}
	}
}

func TestATraceSaysWhatFailed(t *testing.T) {
	long := strings.Repeat("ä", 40)
	for _, c := range []struct{ condition, claim, want string }{
		{`"op":"has","value":"x"`, ``, "claim c is absent"},
		{`"op":"not_in","value":["x"]`, `null`, "claim c is absent"},
		{`"op":"has","value":"x"`, `1`, "value has another type (number, want array)"},
		{`"op":"has_any","value":["x"]`, `{}`, "value has another type (object, want array)"},
		{`"op":"has","value":"x"`, `["a","b"]`, "none of its 2 values is wanted"},
		{`"op":"has_any","value":["x"]`, `"y"`, `value "y" does not satisfy has_any`},
		{`"op":"has_all","value":["x","y"]`, `["x"]`, "value lacks the wanted value 1, counted from 0"},
		{`"op":"eq","value":true`, `"true"`, "value has another type (string, want boolean)"},
		{`"op":"eq","value":"x"`, `["x"]`, "value has another type (array, want string)"},
		{`"op":"eq","value":1`, `1.90`, "value 1.90 does not satisfy eq"},
		{`"op":"eq","value":true`, `false`, "value false does not satisfy eq"},
		{`"op":"lt","value":1`, `1e9999999`, "number is out of bounds"},
		{`"op":"glob","value":"repo:*"`, `"line\nbreak"`, `value "line\nbreak" does not satisfy glob`},
		{`"op":"re","value":"a"`, `"` + long + `"`, `value "` + long[:64] + `…" does not satisfy re`},
		{`"op":"re","value":"a"`, `"x` + long + `"`, `value "x` + long[:62] + `…" does not satisfy re`},
		{`"op":"re","value":"a.*"`, `"` + strings.Repeat("a", 1025) + `"`, "value is longer than 1024 bytes"},
	} {
		token := `{"ok":1}`
		if c.claim != "" {
			token = `{"ok":1,"c":` + c.claim + `}`
		}
		set := given(t, rule("r", `[{"claim":"ok","op":"present"},{"claim":"c",`+c.condition+`}]`))
		d := deny(t, set, asking(token), policy.ErrNoRule, "no_rule")
		f := d.Trace[0].Failed
		if f == nil || f.Condition != 1 || f.Claim != "c" || f.Reason != c.want {
			t.Errorf("%s on %s: %s, want %q", c.condition, c.claim, inJSON(t, d.Trace), c.want)
		}
	}
}

func TestATraceIsShortAndBeginsWithWhatMatters(t *testing.T) {
	var rows []row
	for _, id := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		rows = append(rows, rule(id, `[{"claim":"sub","op":"eq","value":"`+id+`"},{"claim":"x","op":"present"}]`))
	}
	rows = append(rows, denyRule("z-deny", group("g")), rule("z-allow", group("g")), rule("z-broken", `[]`), rule("z-near", `[{"claim":"sub","op":"eq","value":"u"},{"claim":"y","op":"present"}]`))
	set := given(t, rows...)
	d := deny(t, set, asking(`{"groups":["g"],"sub":"u"}`), policy.ErrDenied, "denied")
	var ids []string
	for _, v := range d.Trace {
		ids = append(ids, v.ID)
	}
	want := strings.Split("z-deny z-allow z-broken u z-near a b c d e f g h i j k l m n o", " ")
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	if d.Tried != len(rows) {
		t.Errorf("tried %d, want %d", d.Tried, len(rows))
	}
	if got := set.Explain(asking(`{"sub":"u"}`).request(t)); len(got) != len(rows) || got[0].ID != "a" {
		t.Errorf("explain leaves rules out: %d of %d", len(got), len(rows))
	}
	if got := set.Explain(query{claims: `{}`, target: "crm"}.request(t)); got != nil {
		t.Errorf("explain of a target without rules: %v", got)
	}
}

func TestVerdictsAsJSON(t *testing.T) {
	set := given(t, rule("a", group("g")).roles("app_read", "gone"), rule("b", group("h")), denyRule("c", `[]`))
	got := inJSON(t, set.Explain(asking(`{"groups":["g"]}`).request(t)))
	want := `[{"id":"a","version":1,"effect":"allow","matched":true,"gives":["app_read"],"missing":["gone"]},` +
		`{"id":"b","version":1,"effect":"allow","matched":false,"failed":{"condition":0,"claim":"groups","op":"has","reason":"none of its 1 values is wanted"},"gives":["app_read"]},` +
		`{"id":"c","version":1,"effect":"deny","matched":false,"reason":"match: no condition"}]`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
