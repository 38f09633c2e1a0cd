package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

// hostile are texts that break out of SQL, JSON, LDAP, shells, logs and templates, where these are put together as text.
var hostile = []string{
	`app_read"; DROP ROLE app_write; --`, `app_read' OR '1'='1`, `app_read", "app_secret`, `{"role":"app_secret"}`, `["app_secret"]`, `app_read,app_secret`,
	`$1`, `%s%n`, `${jndi:ldap://127.0.0.1:1/x}`, `{{.}}`, `*)(uid=*`, `\x27`, `\u0027`, `app_read\`, `$$; SELECT 1; $$`, `"`, `'`, `''`, "`id`",
	`pg_read_all_data`, `postgres`, `dbsts_owner`, `public`, `PUBLIC`, `none`, `APP_READ`, `app_reаd`, `app_read%00`, `app_read::text`, `ᵃpp_read`,
}

// injections: hostile texts as role, as target, and in claims. A role or a target is looked up, never put together; a
// claim is data, and arrives as what it is.
func (a *attacks) injections(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	good := token(s.claims(nil))
	for _, text := range hostile {
		roles := strings.Fields(text)
		recorded := proven(badScope, badScope.Reason, "role_not_allowed")
		s.refuses(t, wish(good, "scope", text), recorded)
		if asked := s.ledger.refused[len(s.ledger.refused)-1].Detail.(map[string]any)["asked"]; !cmp.Equal(asked, any(roles)) {
			t.Errorf("recorded as %q, asked for %q", asked, roles)
		}
		s.refuses(t, wish(good, "audience", "shop"+text), proven(badTarget, badTarget.Reason, "target_unknown"))
	}
	for _, text := range []string{"app_read\x00", "app_read\xff"} {
		s.refuses(t, wish(good, "scope", text), refusal{answer: badForm, logged: badForm.Reason})
	}
	for _, text := range []string{"app_read\napp_secret", "app_read\x1b[2J"} {
		s.refuses(t, wish(good, "scope", text), refusal{answer: badValue, logged: badValue.Reason})
	}
	s.refuses(t, wish(good, "scope", "app\u202eread"), refusal{answer: badScope, logged: badScope.Reason}) // invisible, and turns text round
	for _, text := range hostile {
		m := s.accepts(t, wish(token(s.claims(object{"sub": text, "note": text, "groups": []string{text}, "jti": text})), "reason", text))
		mustBePlain(t, m)
		if m.Subject.Subject != text || m.Exposed["note"] != text || m.Reason != text || m.TokenKey != "jti:"+text {
			t.Errorf("%q arrived as subject %q, claim %q, reason %q, key %q", text, m.Subject.Subject, m.Exposed["note"], m.Reason, m.TokenKey)
		}
	}
}

// mustBePlain holds what goes to the database to the values of JSON, to roles of the catalogue and to a login name that
// nobody but us has made.
func mustBePlain(t *testing.T, m engine.Mint) {
	t.Helper()
	if !grantID.MatchString(m.ID) || m.Target != "shop" || !catalogued(m.Roles) {
		t.Errorf("grant %q of %q on %q", m.ID, m.Roles, m.Target)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var again engine.Mint
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if again.Subject != m.Subject || again.Reason != m.Reason {
		t.Errorf("on the way to the database\n%+v became\n%+v", m.Subject, again.Subject)
	}
	for _, claims := range []map[string]any{m.Claims, m.Exposed} {
		for value := range maps.Values(claims) {
			if err := plain(value); err != nil {
				t.Error(err)
			}
		}
	}
}

func catalogued(roles []string) bool {
	return len(roles) > 0 && !slices.ContainsFunc(roles, func(r string) bool { return r != "app_read" && r != "app_write" })
}

// plain refuses values that are not JSON's own: one that marshals itself could write anything.
func plain(value any) error {
	switch v := value.(type) {
	case nil, bool, json.Number:
		return nil
	case string:
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("%q cannot be stored", v)
		}
		return nil
	case []any:
		for _, item := range v {
			if err := plain(item); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return plain(slices.Collect(maps.Values(v)))
	}
	return fmt.Errorf("%T is no JSON value", value)
}

// secretsInTheQuery: what stands in a URL stands in access logs and Referer headers. Such a request is refused, so that
// its sender learns it at once. That no refusal and no line holds a secret is held for every attack.
func (a *attacks) secretsInTheQuery(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	raw := token(s.claims(nil))
	for _, query := range []string{"subject_token=" + raw, "token=" + raw, "actor_token=" + raw, "client_secret=hunter2", "subject%5ftoken=" + raw, "x=%zz&token=" + raw} {
		event := s.event
		event.RawQueryString = query
		want := answer{Status: 400, Error: "invalid_request", Reason: "secret_in_query"}
		s.judge(t, refusal{answer: want, logged: want.Reason}, func() answer { return s.send(t, event) })
	}
	event := s.event
	event.RequestContext.HTTP.Method, event.RawQueryString = "GET", wish(raw).Encode()
	a.tried.Add(1)
	s.log.Reset()
	if got := s.send(t, event); got.Status == 405 && s.log.Len() == 0 && s.ledger.since(touched{}).Asked == 0 {
		a.refused.Add(1)
	} else {
		t.Errorf("GET: %d %s, log %s", got.Status, got.whole.Body, s.log)
	}
	control(t, s, p)
}

// oracles: the same bytes, whatever is wrong. Beyond the bytes: the same calls to the database, and no request to an
// issuer that tells a known one from an unknown one once its keys are there.
func (a *attacks) oracles(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(`[{"claim":"sub","op":"eq","value":"alice"}]`), p.Issuer())
	if err := s.verifier.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	forged := func(claims object) string { return identitytest.Token("RS256", "r", identitytest.ForeignRSA(), claims) }
	mustFetch(t, p, 0, func() {
		// Which issuers, audiences, keys and targets exist? Unproven, nobody learns.
		for _, target := range []string{"shop", "no-such-target"} {
			for reason, raw := range map[string]string{
				identity.ReasonIssuerUnknown:    forged(s.claims(object{"iss": "https://unknown.example"})),
				identity.ReasonAudienceMismatch: forged(s.claims(object{"aud": "https://unknown.example"})),
				identity.ReasonTokenExpired:     forged(s.claims(object{"exp": 1})),
				identity.ReasonSignatureInvalid: forged(s.claims(nil)),
				identity.ReasonTokenMalformed:   "a.b.c",
			} {
				s.refuses(t, wish(raw, "audience", target, "scope", "app_read no_such_role"), unproven(reason))
			}
		}
		// Which targets exist? Proven, but admitted by no rule, nobody learns either.
		stranger := token(s.claims(object{"sub": "mallory"}))
		for target, recorded := range map[string]string{"shop": "no_rule", "no-such-target": "target_unknown"} {
			for _, scope := range []string{"", "app_read", "no_such_role"} {
				s.refuses(t, wish(stranger, "audience", target, "scope", scope), proven(badTarget, badTarget.Reason, recorded))
			}
		}
		// Which roles exist? Admitted, one does not learn of roles that one may not have.
		for _, role := range []string{"app_secret", "no_such_role"} {
			s.refuses(t, wish(token(s.claims(nil)), "scope", role), proven(badScope, badScope.Reason, "role_not_allowed"))
		}
	})
}
