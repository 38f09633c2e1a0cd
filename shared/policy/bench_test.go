package policy_test

import (
	"fmt"
	"testing"

	"dbsts/shared/policy"
)

// The targets: 20 rules within 5 µs, 10,000 within 200 µs, granted or refused.

func BenchmarkDecide20(b *testing.B)    { benchmark(b, 20) }
func BenchmarkDecide10000(b *testing.B) { benchmark(b, 10_000) }

// shapes are rule sets of one issuer and target; n numbers the rule.
var shapes = []struct {
	name, match, token, refused string
}{
	{
		"group", `[{"claim":"groups","op":"has","value":"team-%d"}]`,
		`{"sub":"u","groups":["everyone","staff","team-7","team-70000"]}`, `{"sub":"u","groups":["everyone","staff","team-70000"]}`,
	},
	{
		"repository", `[{"claim":"repository_owner_id","op":"eq","value":"1234"},{"claim":"repository_id","op":"eq","value":"%d"},
			{"claim":"environment","op":"eq","value":"production"},{"claim":"ref","op":"eq","value":"refs/heads/main"},
			{"claim":"event_name","op":"in","value":["push","workflow_dispatch"]},{"claim":"runner_environment","op":"eq","value":"github-hosted"}]`,
		`{"repository_owner_id":"1234","repository_id":"7","environment":"production","ref":"refs/heads/main","event_name":"push","runner_environment":"github-hosted"}`,
		`{"repository_owner_id":"1234","repository_id":"70000","environment":"production","ref":"refs/heads/main","event_name":"push","runner_environment":"github-hosted"}`,
	},
	{ // no exact value: no index can help
		"number", `[{"claim":"level","op":"ge","value":%d},{"claim":"level","op":"le","value":7}]`, `{"level":7}`, `{"level":-1}`,
	},
	{"glob", `[{"claim":"ref","op":"glob","value":"refs/heads/%d-*"}]`, `{"ref":"refs/heads/7-x"}`, `{"ref":"refs/heads/x-7"}`},
}

func benchmark(b *testing.B, n int) {
	b.Helper()
	for _, shape := range shapes {
		rows := make([]row, n)
		for i := range rows {
			rows[i] = rule(fmt.Sprintf("rule-%05d", i), fmt.Sprintf(shape.match, i))
		}
		set := given(b, rows...)
		for name, token := range map[string]string{"granted": shape.token, "refused": shape.refused} {
			r := asking(token).request(b)
			b.Run(shape.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := set.Decide(r); (err == nil) != (name == "granted") {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkCompile10000(b *testing.B) {
	rows := make([]row, 10_000)
	for i := range rows {
		rows[i] = rule(fmt.Sprintf("rule-%05d", i), fmt.Sprintf(shapes[1].match, i))
	}
	doc := document(b, rows...)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := policy.Compile(doc); err != nil {
			b.Fatal(err)
		}
	}
}
