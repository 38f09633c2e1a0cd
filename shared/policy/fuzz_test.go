package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"dbsts/shared/policy"
)

// FuzzAnAbsentClaimNeverSatisfies: whatever the operator and its value, a token without the claim is not admitted.
func FuzzAnAbsentClaimNeverSatisfies(f *testing.F) {
	for _, op := range []string{"eq", "in", "has", "has_any", "has_all", "glob", "re", "lt", "le", "gt", "ge", "present", "not_in"} {
		for _, v := range []string{`""`, `"x"`, `0`, `-1`, `false`, `null`, `["x"]`, `[0]`, `[]`, `".*"`, `"(?s).*"`, `"acme*"`} {
			f.Add("c", op, v)
			f.Add("/c/d", op, v)
		}
	}
	f.Fuzz(func(t *testing.T, claim, op, v string) {
		if !json.Valid([]byte(v)) || !utf8.ValidString(v) || claim == "sub" || claim == "/sub" {
			return
		}
		set := given(t, row{
			"id": "r", "version": 1, "effect": "allow", "issuer": issuer, "target": target, "roles": []string{"app_read"},
			"match": []any{map[string]any{"claim": claim, "op": op, "value": json.RawMessage(v)}},
		})
		for _, token := range []string{`{"sub":"u"}`, `{"sub":"u","c":null}`} {
			if d, err := set.Decide(asking(token).request(t)); err == nil {
				t.Errorf("%s %s %s admits %s: %v", claim, op, v, token, d.Roles)
			}
		}
	})
}

// FuzzNoDocumentPanics: Compile and Decide answer any bytes.
func FuzzNoDocumentPanics(f *testing.F) {
	f.Add(document(f, rule("r", group("g")), denyRule("d", `[{"claim":"/a/b","op":"re","value":"a|b"}]`)), []byte(`{"groups":["g"]}`))
	f.Add([]byte(`{"rules":[{}],"roles":[]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, doc, token []byte) {
		set, err := policy.Compile(doc)
		if err != nil || !json.Valid(token) || len(token) == 0 || token[0] != '{' {
			return
		}
		q := asking(string(token))
		_, _ = set.Decide(q.request(t))
		set.Explain(q.request(t))
	})
}

// TestTheIndexFindsWhatTryingEveryRuleFinds compares Decide with Explain, which uses no index, on random rules.
func TestTheIndexFindsWhatTryingEveryRuleFinds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same rules on each run
	claim := func() string { return []string{"a", "b", "/o/c", "d"}[rnd.IntN(4)] }
	scalar := func() string { return []string{`"x"`, `"y"`, `"z"`, `1`, `1.0`, `true`}[rnd.IntN(6)] }
	list := func() string { return []string{`["x"]`, `["x","y"]`, `["y","z","y"]`, `[1,2]`, `[true]`}[rnd.IntN(5)] }
	condition := func() string {
		switch rnd.IntN(7) {
		case 0:
			return fmt.Sprintf(`{"claim":%q,"op":"present"}`, claim())
		case 1:
			return fmt.Sprintf(`{"claim":%q,"op":"not_in","value":%s}`, claim(), list())
		case 2, 3:
			return fmt.Sprintf(`{"claim":%q,"op":%q,"value":%s}`, claim(), []string{"eq", "has"}[rnd.IntN(2)], scalar())
		}
		return fmt.Sprintf(`{"claim":%q,"op":%q,"value":%s}`, claim(), []string{"in", "has_any", "has_all"}[rnd.IntN(3)], list())
	}
	value := func() string {
		switch rnd.IntN(3) {
		case 0:
			return "[" + scalar() + "," + scalar() + "," + scalar() + "]"
		case 1:
			return "null"
		}
		return scalar()
	}
	granted := 0
	for range 200 {
		var rows []row
		for i := range 12 {
			rows = append(rows, rule(fmt.Sprintf("r%02d", i), "["+condition()+","+condition()+"]"))
		}
		set := given(t, rows...)
		for range 20 {
			q := asking(fmt.Sprintf(`{"a":%s,"b":%s,"o":{"c":%s},"d":%s}`, value(), value(), value(), value()))
			var want []string
			for _, v := range set.Explain(q.request(t)) {
				if v.Matched {
					want = append(want, v.ID)
				}
			}
			d, err := set.Decide(q.request(t))
			if err != nil && !errors.Is(err, policy.ErrNoRule) {
				t.Fatal(err)
			}
			var got []string
			for _, r := range d.Rules {
				got = append(got, r.ID)
			}
			if inJSON(t, got) != inJSON(t, want) {
				t.Fatalf("%s: with index %v, without %v", q.claims, got, want)
			}
			granted += min(1, len(got))
		}
	}
	if granted < 400 || granted > 3600 {
		t.Errorf("%d of 4000 requests granted: the comparison says little", granted)
	}
}
