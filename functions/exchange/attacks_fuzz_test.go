package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"dbsts/shared/identity/identitytest"
)

var grantID = regexp.MustCompile(`\A[a-z2-7]{26}\z`)

// FuzzWhatReachesTheDatabase holds that scope, reason and claims, whatever they hold, reach the minter as JSON values
// and catalogued roles, or not at all.
func FuzzWhatReachesTheDatabase(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "app_read", `"`+strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`)+`"`)
	}
	f.Add("alice", "app_read app_write fmt:dsn", `{"a":[1,true,null,{"b":"\u0000"}]}`)
	f.Add("bob\u202e", " app_read\t", `["a",1e999,-0,"\ud800",{}]`)
	f.Add("", "app_secret", `{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, subject, scope, note string) {
		a := &attacks{}
		issuer := identitytest.Static(identitytest.Set(identitytest.JWK("e", identitytest.P256Key().Public(), nil)))
		s := a.scene(t, rulesFor(anybody), issuer)
		quoted, err := json.Marshal(subject)
		if err != nil {
			t.Fatal(err)
		}
		payload := s.claims(object{"sub": gone}).JSON()
		payload = payload[:len(payload)-1] + `,"sub":` + string(quoted) + `,"note":` + note + "}"
		raw := identitytest.Signed("ES256", identitytest.P256Key(), `{"alg":"ES256","kid":"e"}`, payload)
		got := s.post(t, wish(raw, "scope", scope, "reason", subject))
		for _, m := range s.ledger.minted {
			mustBePlain(t, m)
		}
		for _, r := range s.ledger.refused {
			if text, err := json.Marshal(r); err != nil || !json.Valid(text) {
				t.Errorf("on record: %s, %v", text, err)
			}
		}
		if minted := len(s.ledger.minted) == 1; minted != (got.Status == 200) {
			t.Errorf("answer %d, minted %v", got.Status, minted)
		}
		if found := secret.FindString(s.log.String()); found != "" {
			t.Errorf("in the log: %s", found)
		}
	})
}
