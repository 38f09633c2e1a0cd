package policy_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"testing"

	"dbsts/shared/policy"
)

// examples are the rules of docs/rules.md (GitHub with its reusable workflow) with a token that each admits, and near misses: one claim changed (or, for
// null, taken away) and the token is refused.
var examples = []struct {
	name     string
	match    string
	identity any
	token    string
	misses   map[string][]string // claim → JSON values
}{
	{
		name: "GitHub Actions",
		match: `[{"claim":"repository_owner_id","op":"eq","value":"1234"},{"claim":"repository_id","op":"eq","value":"5678"},
			{"claim":"environment","op":"eq","value":"production"},{"claim":"ref","op":"eq","value":"refs/heads/main"},
			{"claim":"event_name","op":"in","value":["push","workflow_dispatch"]},{"claim":"runner_environment","op":"eq","value":"github-hosted"},
			{"claim":"job_workflow_ref","op":"glob","value":"acme/ci/.github/workflows/migrate.yml@refs/tags/*"}]`,
		identity: "repository_id",
		token: `{"repository_owner_id":"1234","repository_id":"5678","environment":"production","ref":"refs/heads/main","event_name":"push",
			"runner_environment":"github-hosted","job_workflow_ref":"acme/ci/.github/workflows/migrate.yml@refs/tags/v3"}`,
		misses: map[string][]string{
			"repository_owner_id": {`"12345"`, `1234`, `null`},
			"repository_id":       {`"56789"`, `5678`, `["5678"]`, `null`},
			"environment":         {`"Production"`, `"production "`, `null`},
			"ref":                 {`"refs/heads/main2"`, `"refs/pull/1/merge"`, `"refs/heads/main\n"`},
			"event_name":          {`"pull_request_target"`, `"pull_request"`, `["push"]`},
			"runner_environment":  {`"self-hosted"`, `null`},
			"job_workflow_ref": {
				`"acme/ci/.github/workflows/migrate.yml@refs/heads/main"`, `"acme/ci/.github/workflows/migrate.yml@refs/tags/v3/x"`,
				`"evil/ci/.github/workflows/migrate.yml@refs/tags/v3"`, `"acme/ci/.github/workflows/migrateXyml@refs/tags/v3"`,
			},
		},
	},
	{
		name: "GitLab CI",
		match: `[{"claim":"namespace_id","op":"eq","value":"12885807"},{"claim":"project_id","op":"eq","value":"53804090"},
			{"claim":"ref_protected","op":"eq","value":"true"},{"claim":"ref_type","op":"eq","value":"branch"},{"claim":"ref","op":"eq","value":"main"},
			{"claim":"pipeline_source","op":"in","value":["push","web","schedule"]}]`,
		token: `{"namespace_id":"12885807","project_id":"53804090","ref_protected":"true","ref_type":"branch","ref":"main","pipeline_source":"web"}`,
		misses: map[string][]string{
			"namespace_id": {`12885807`, `"1288580"`}, "project_id": {`53804090`, `null`}, "ref_protected": {`true`, `"false"`, `null`},
			"ref_type": {`"tag"`}, "ref": {`"mainline"`}, "pipeline_source": {`"merge_request_event"`, `null`},
		},
	},
	{
		name:  "Keycloak",
		match: `[{"claim":"azp","op":"eq","value":"db-cli"},{"claim":"/realm_access/roles","op":"has","value":"db-analyst"}]`,
		token: `{"azp":"db-cli","realm_access":{"roles":["offline_access","db-analyst"]}}`,
		misses: map[string][]string{
			"azp":          {`"db-cli2"`, `null`},
			"realm_access": {`{"roles":["db-analysts"]}`, `{"roles":"not-db-analyst"}`, `{"roles":{"db-analyst":true}}`, `{}`, `["db-analyst"]`, `null`},
		},
	},
	{
		name: "Okta", match: group("db-oncall"), token: `{"groups":["Everyone","db-oncall"]}`,
		misses: map[string][]string{"groups": {`["db-oncall-eu"]`, `"not-db-oncall"`, `[]`, `null`, `["DB-ONCALL"]`}},
	},
	{
		name:     "Entra ID",
		match:    `[{"claim":"tid","op":"eq","value":"aaaabbbb-0000-cccc-1111-dddd2222eeee"},{"claim":"roles","op":"has","value":"Orders.Read"}]`,
		identity: "oid",
		token:    `{"tid":"aaaabbbb-0000-cccc-1111-dddd2222eeee","roles":["Orders.Read"],"oid":"1"}`,
		misses: map[string][]string{
			"tid":   {`"aaaabbbb-0000-cccc-1111-dddd2222eeef"`, `"AAAABBBB-0000-cccc-1111-dddd2222eeee"`, `null`},
			"roles": {`["Orders.ReadWrite"]`, `["OrdersXRead"]`, `null`},
		},
	},
	{
		name:   "Cognito",
		match:  `[{"claim":"token_use","op":"eq","value":"id"},{"claim":"cognito:groups","op":"has","value":"support"}]`,
		token:  `{"token_use":"id","cognito:groups":["support"]}`,
		misses: map[string][]string{"token_use": {`"access"`, `null`}, "cognito:groups": {`["support-eu"]`, `null`}},
	},
	{
		name: "Kubernetes",
		match: `[{"claim":"/kubernetes.io/namespace","op":"eq","value":"orders"},{"claim":"/kubernetes.io/serviceaccount/name","op":"eq","value":"api"},
			{"claim":"/kubernetes.io/serviceaccount/uid","op":"eq","value":"e6a8680e-d103-4cce-80ea-03acbbeacf7d"}]`,
		token: `{"kubernetes.io":{"namespace":"orders","serviceaccount":{"name":"api","uid":"e6a8680e-d103-4cce-80ea-03acbbeacf7d"}}}`,
		misses: map[string][]string{"kubernetes.io": {
			`{"namespace":"orders2","serviceaccount":{"name":"api","uid":"e6a8680e-d103-4cce-80ea-03acbbeacf7d"}}`,
			`{"namespace":"orders","serviceaccount":{"name":"api","uid":"00000000-d103-4cce-80ea-03acbbeacf7d"}}`,
			`{"namespace":"orders","serviceaccount":{"name":"api"}}`, `{"namespace":"orders","serviceaccount":"api"}`, `null`,
		}},
	},
	{
		name:  "Google",
		match: `[{"claim":"sub","op":"eq","value":"117000000000000000001"},{"claim":"email_verified","op":"eq","value":true},{"claim":"hd","op":"eq","value":"acme.com"}]`,
		token: `{"sub":"117000000000000000001","email_verified":true,"hd":"acme.com"}`,
		misses: map[string][]string{
			"sub":            {`117000000000000000001`, `"117000000000000000002"`},
			"email_verified": {`"true"`, `1`, `false`, `null`},
			"hd":             {`"acme.com.evil.example"`, `"evilacme.com"`, `null`},
		},
	},
}

func TestWorkedExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			set := given(t, rule("r", e.match).with("identity", e.identity))
			d := allow(t, set, asking(e.token), "app_read")
			if want, _ := e.identity.(string); d.Identity != want {
				t.Errorf("identity %q, want %q", d.Identity, want)
			}
			token := claims(t, e.token)
			for claim, values := range e.misses {
				for _, v := range values {
					near := maps.Clone(token)
					near[claim] = json.RawMessage(v)
					if v == "null" {
						delete(near, claim)
					}
					deny(t, set, asking(inJSON(t, near)), policy.ErrNoRule, "no_rule")
				}
			}
		})
	}
}

func TestTheRuleReferenceShowsRulesThatAreUnderstood(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	matches := regexp.MustCompile(`(?s)'(\[\s*\{"claim".*?\}\])'`).FindAllSubmatch(text, -1)
	if len(matches) != 10 {
		t.Errorf("%d examples found, want 10", len(matches))
	}
	for _, m := range matches {
		if broken := given(t, rule("r", string(m[1]))).Broken(); broken != nil {
			t.Errorf("%s\n%v", m[1], broken)
		}
	}
}
