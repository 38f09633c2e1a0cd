package policy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/policy"
)

// lintCase is a rule and what is found about it. The database, tried elsewhere with the same cases, sees only a part.
type lintCase struct {
	Name, Preset string
	Finds        []string
	Rule         row
	Database     string
}

const lintIssuer = "https://issuer.test"

func TestTheLinter(t *testing.T) {
	text, err := os.ReadFile("testdata/lint.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []lintCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		r := rule("r", `[]`).with("issuer", lintIssuer)
		for member, value := range c.Rule {
			r[member] = value
		}
		if r["effect"] == "deny" {
			r["roles"] = nil
		}
		// A rule that allows something, so that a deny rule does not stand alone.
		set := compile(t, sound("sound"), r)
		got := []string{}
		for _, f := range set.Lint(map[string]string{lintIssuer: c.Preset}) {
			if f.Rule == "r" {
				got = append(got, string(f.Severity)+" "+f.Check)
			}
		}
		if diff := cmp.Diff(c.Finds, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name, diff)
		}
	}
}

// sound is a rule of another issuer about which there is nothing to say.
func sound(id string) row { return rule(id, group("g")).with("issuer", "https://sound.test") }

// compile is given with the catalogue of the database's cases: app_read alone.
func compile(t *testing.T, rules ...row) *policy.Set {
	t.Helper()
	set, err := policy.Compile([]byte(inJSON(t, map[string]any{
		"rules": rules, "roles": json.RawMessage(`[{"target":"shop","role":"app_read","activation":"inherit","max_ttl":3600}]`),
	})))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestFindingsSayWhereAndWhy(t *testing.T) {
	set := compile(t,
		sound("b").with("match", json.RawMessage(`[{"claim":"sub","op":"present"}]`)),
		sound("a").with("match", json.RawMessage(`[{"claim":"upn","op":"eq","value":"ada"},{"claim":"upn","op":"eq","value":"bob"}]`)).with("max_ttl", 7200),
		denyRule("z", group("x")).with("target", "crm"))
	got := set.Lint(nil)
	want := []policy.Finding{
		{Target: "crm", Severity: policy.Warning, Check: "deny_only", Text: "no rule allows anything: deny rules have nothing to take away"},
		{
			Target: "crm", Rule: "z", Issuer: issuer, Severity: policy.Warning, Check: "deny_by_groups",
			Text: "providers leave groups out when there are many, and then it denies nobody: deny by another claim",
		},
		{
			Target: "shop", Rule: "a", Issuer: "https://sound.test", Severity: policy.Error, Check: "claim_mutable",
			Text: "upn can be changed or given to somebody else: bind sub, oid or another stable id",
		},
		{
			Target: "shop", Rule: "a", Issuer: "https://sound.test", Severity: policy.Warning, Check: "ttl_capped",
			Text: "max_ttl is 7200, but logins with app_read end after 3600 seconds",
		},
		{
			Target: "shop", Rule: "b", Issuer: "https://sound.test", Severity: policy.Error, Check: "wide",
			Text: "every token of the issuer satisfies it: say who is meant",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestTheRuleReferenceHasNothingToFind(t *testing.T) {
	presets := map[string]string{}
	var rules []row
	for _, example := range documentedRules(t) {
		preset := map[bool]string{
			strings.Contains(example.issuer, "githubusercontent"): "github", strings.Contains(example.issuer, "gitlab"): "gitlab",
			strings.Contains(example.issuer, "microsoftonline"): "entra", strings.Contains(example.issuer, "eks"): "kubernetes",
			strings.Contains(example.issuer, "google"): "google", strings.Contains(example.issuer, "cognito"): "cognito",
		}[true]
		presets[example.issuer] = preset
		r := rule(example.id, example.match).with("issuer", example.issuer)
		if example.deny {
			r = r.with("effect", "deny").with("roles", nil)
		}
		rules = append(rules, r)
	}
	if found := compile(t, rules...).Lint(presets); found != nil {
		t.Errorf("%+v", found)
	}
}
