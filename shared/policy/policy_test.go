package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/engine"
	"dbsts/shared/policy"
)

const (
	issuer = "https://idp.example"
	target = "shop"
)

// row is a rule under construction; members that a test does not name are those of a sound rule.
type row map[string]any

func rule(id, match string) row {
	return row{
		"id": id, "version": 1, "effect": "allow", "issuer": issuer, "target": target,
		"match": json.RawMessage(match), "roles": []string{"app_read"}, "default_roles": nil, "max_ttl": 900, "identity": nil, "expose": nil,
	}
}

func denyRule(id, match string) row { return rule(id, match).with("effect", "deny").with("roles", nil) }

func (r row) with(member string, value any) row   { r[member] = value; return r }
func (r row) without(member string) row           { delete(r, member); return r }
func (r row) roles(names ...string) row           { return r.with("roles", names) }
func group(name string) string                    { return `[{"claim":"groups","op":"has","value":"` + name + `"}]` }
func asking(claims string, roles ...string) query { return query{claims: claims, roles: roles} }

const catalogue = `[
	{"target":"shop","role":"app_read","activation":"inherit","max_ttl":3600},
	{"target":"shop","role":"app_write","activation":"inherit","max_ttl":600},
	{"target":"shop","role":"app_audit","activation":"inherit"},
	{"target":"shop","role":"app_owner","activation":"set","max_ttl":3600},
	{"target":"shop","role":"app_migrator","activation":"set","max_ttl":3600},
	{"target":"crm","role":"crm_read","activation":"inherit","max_ttl":3600}]`

func document(t testing.TB, rules ...row) []byte {
	t.Helper()
	doc, err := json.Marshal(map[string]any{"rules": rules, "roles": json.RawMessage(catalogue)})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func given(t testing.TB, rules ...row) *policy.Set {
	t.Helper()
	set, err := policy.Compile(document(t, rules...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// query is a request in the words of a test.
type query struct {
	claims   string // JSON
	roles    []string
	lifetime time.Duration
	overage  bool
	issuer   string
	target   string
}

func (q query) request(t testing.TB) policy.Request {
	t.Helper()
	r := policy.Request{
		Issuer: issuer, Target: target, Claims: claims(t, q.claims), Overage: q.overage, Roles: q.roles, Lifetime: q.lifetime,
	}
	if q.issuer != "" {
		r.Issuer = q.issuer
	}
	if q.target != "" {
		r.Target = q.target
	}
	return r
}

func claims(t testing.TB, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("claims %s: %v", text, err)
	}
	return m
}

func allow(t *testing.T, set *policy.Set, q query, want ...string) policy.Decision {
	t.Helper()
	d, err := set.Decide(q.request(t))
	if err != nil {
		t.Fatalf("Decide: %v, want roles %v; trace %s", err, want, inJSON(t, d.Trace))
	}
	if diff := cmp.Diff(want, d.Roles); diff != "" {
		t.Fatalf("roles (-want +got):\n%s", diff)
	}
	return d
}

func deny(t *testing.T, set *policy.Set, q query, want error, reason string) policy.Decision {
	t.Helper()
	d, err := set.Decide(q.request(t))
	if !errors.Is(err, want) {
		t.Fatalf("Decide: %v, roles %v; want %v", err, d.Roles, want)
	}
	if d.Reason != reason {
		t.Fatalf("reason %q, want %q", d.Reason, reason)
	}
	if d.Roles != nil || d.Rules != nil || d.Claims != nil || d.Exposed != nil || d.Lifetime != 0 {
		t.Fatalf("a refusal gives something: %+v", d)
	}
	return d
}

func inJSON(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestRulesAreForOneIssuerAndOneTarget(t *testing.T) {
	set := given(t, rule("analysts", group("analysts")))
	in := `{"groups":["analysts"]}`
	allow(t, set, asking(in), "app_read")
	deny(t, set, query{claims: in, issuer: issuer + "/"}, policy.ErrNoRule, "no_rule")
	deny(t, set, query{claims: in, issuer: "https://IDP.example"}, policy.ErrNoRule, "no_rule")
	deny(t, set, query{claims: in, target: "crm"}, policy.ErrNoRule, "no_rule")
	deny(t, set, asking(`{"groups":["analyst"]}`), policy.ErrNoRule, "no_rule")
	deny(t, given(t), asking(in), policy.ErrNoRule, "no_rule")
}

func TestEveryConditionMustHold(t *testing.T) {
	set := given(t, rule("r", `[{"claim":"a","op":"eq","value":1},{"claim":"b","op":"eq","value":2}]`))
	allow(t, set, asking(`{"a":1,"b":2}`), "app_read")
	deny(t, set, asking(`{"a":1,"b":3}`), policy.ErrNoRule, "no_rule")
	deny(t, set, asking(`{"a":1}`), policy.ErrNoRule, "no_rule")
	deny(t, set, asking(`{}`), policy.ErrNoRule, "no_rule")
}

func TestDenyWins(t *testing.T) {
	set := given(t, rule("analysts", group("analysts")), denyRule("leavers", group("leavers")))
	allow(t, set, asking(`{"groups":["analysts"]}`), "app_read")
	deny(t, set, asking(`{"groups":["analysts","leavers"]}`), policy.ErrDenied, "denied")
	deny(t, set, asking(`{"groups":["leavers"]}`), policy.ErrDenied, "denied")
	deny(t, set, asking(`{"groups":["analysts","leavers"]}`, "app_read"), policy.ErrDenied, "denied")
	// Documented: a condition on an absent claim does not hold, for deny rules too.
	allow(t, given(t, rule("all", `[{"claim":"sub","op":"present"}]`), denyRule("leavers", group("leavers"))), asking(`{"sub":"x"}`), "app_read")
}

func TestRolesOfMatchingRulesAddUp(t *testing.T) {
	set := given(t, rule("readers", group("staff")), rule("writers", group("oncall")).roles("app_write", "app_audit").with("default_roles", []string{"app_write"}))
	both := `{"groups":["staff","oncall"]}`
	allow(t, set, asking(both), "app_read", "app_write")
	allow(t, set, asking(both, "app_audit", "app_read", "app_audit"), "app_audit", "app_read")
	allow(t, set, asking(`{"groups":["staff"]}`, "app_read"), "app_read")
	deny(t, set, asking(`{"groups":["staff"]}`, "app_read", "app_write"), policy.ErrScope, "role_not_allowed")
	deny(t, set, asking(both, "postgres"), policy.ErrScope, "role_not_allowed")
	deny(t, set, asking(both, ""), policy.ErrScope, "role_not_allowed")
}

func TestWithoutDefaultRolesTheCallerMustAsk(t *testing.T) {
	set := given(t, rule("r", group("g")).with("default_roles", []string{}))
	deny(t, set, asking(`{"groups":["g"]}`), policy.ErrScope, "no_default_roles")
	allow(t, set, asking(`{"groups":["g"]}`, "app_read"), "app_read")
}

func TestARoleOutsideTheCatalogueIsNotGiven(t *testing.T) {
	set := given(t, rule("r", group("g")).roles("app_read", "crm_read", "pg_monitor"))
	in := `{"groups":["g"]}`
	d := allow(t, set, asking(in), "app_read")
	if diff := cmp.Diff([]string{"crm_read", "pg_monitor"}, d.Trace[0].Missing); diff != "" {
		t.Errorf("missing roles in the trace (-want +got):\n%s", diff)
	}
	for _, role := range []string{"crm_read", "pg_monitor"} {
		deny(t, set, asking(in, role), policy.ErrScope, "role_not_allowed")
	}
	deny(t, given(t, rule("r", group("g")).roles("pg_monitor")), asking(in), policy.ErrScope, "no_default_roles")
}

func TestManyInheritRolesOrOneSetRole(t *testing.T) {
	in := `{"groups":["g"]}`
	set := given(t, rule("r", group("g")).roles("app_read", "app_write", "app_owner", "app_migrator"))
	allow(t, set, asking(in, "app_owner"), "app_owner")
	allow(t, set, asking(in, "app_owner", "app_owner"), "app_owner")
	allow(t, set, asking(in, "app_read", "app_write"), "app_read", "app_write")
	deny(t, set, asking(in, "app_owner", "app_read"), policy.ErrScope, "roles_mix_activation")
	deny(t, set, asking(in, "app_owner", "app_migrator"), policy.ErrScope, "roles_mix_activation")
	d := deny(t, set, asking(in), policy.ErrScope, "default_roles_mix")
	if got := d.Trace[0].Reason; got != "default roles hold a role of activation set beside others: ask for roles by scope" {
		t.Errorf("the trace does not say what to do: %q", got)
	}
}

func TestLifetime(t *testing.T) {
	set := given(t,
		rule("short", group("a")).with("max_ttl", 300),
		rule("long", group("b")).with("max_ttl", 7200).roles("app_read", "app_write"),
		rule("unsaid", group("c")).with("max_ttl", nil).roles("app_audit"),
		rule("tiny", group("d")).with("max_ttl", 29))
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for _, c := range []struct {
		name   string
		groups string
		roles  []string
		wish   time.Duration
		want   time.Duration
	}{
		{"the rule's own", `["a"]`, nil, 0, seconds(300)},
		{"the larger of two rules that give the role, but no more than the role's", `["a","b"]`, []string{"app_read"}, 0, seconds(3600)},
		{"the smallest over the roles", `["a","b"]`, []string{"app_read", "app_write"}, 0, seconds(600)},
		{"900 seconds when neither rule nor role says", `["c"]`, nil, 0, seconds(900)},
		{"a wish shortens", `["a"]`, nil, seconds(60), seconds(60)},
		{"a wish never lengthens", `["a"]`, nil, seconds(86400), seconds(300)},
		{"a wish is cut to whole seconds", `["a"]`, nil, 60*time.Second + 999*time.Millisecond, seconds(60)},
		{"30 seconds are enough", `["a"]`, nil, seconds(30), seconds(30)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.roles
			if want == nil {
				want = map[string][]string{`["c"]`: {"app_audit"}}[c.groups]
				if want == nil {
					want = []string{"app_read"}
				}
			}
			d := allow(t, set, query{claims: `{"groups":` + c.groups + `}`, roles: c.roles, lifetime: c.wish}, want...)
			if d.Lifetime != c.want {
				t.Errorf("lifetime %v, want %v", d.Lifetime, c.want)
			}
		})
	}
	for _, wish := range []time.Duration{-time.Second, 1, 29 * time.Second, 30*time.Second - 1} {
		deny(t, set, query{claims: `{"groups":["a"]}`, lifetime: wish}, policy.ErrLifetime, "lifetime_too_short")
	}
	deny(t, set, query{claims: `{"groups":["d"]}`}, policy.ErrLifetime, "lifetime_too_short")
}

func TestTheGrantRecordsTheRulesThatGaveItsRoles(t *testing.T) {
	set := given(t, rule("z", group("g")).with("version", 7), rule("a", group("g")), rule("w", group("g")).roles("app_write"), denyRule("n", group("x")))
	d := allow(t, set, asking(`{"groups":["g","g"]}`, "app_read"), "app_read")
	want := []engine.Rule{{ID: "a", Version: 1}, {ID: "z", Version: 7}}
	if diff := cmp.Diff(want, d.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}
