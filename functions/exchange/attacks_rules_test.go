package main

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

type object = identitytest.Object

// nearMisses holds that a rule admits the good claims, and none of those that differ from them by the bad ones. Each
// refusal is one row.
func (a *attacks) nearMisses(t *testing.T, match string, good object, bad ...object) {
	t.Helper()
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(match), p.Issuer())
	s.accepts(t, wish(token(s.claims(good))))
	for _, changes := range bad {
		claims := maps.Clone(good)
		maps.Copy(claims, changes)
		t.Run(changes.JSON(), func(t *testing.T) {
			s.refuses(t, wish(token(s.claims(claims))), proven(badTarget, badTarget.Reason, "no_rule"))
		})
	}
	if p.Fetches.Load() != 1 {
		t.Errorf("%d requests to the issuer, want 1", p.Fetches.Load())
	}
}

// raw is a claim's value as JSON.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

// usedAgain: somebody deletes the repository, or the account, and another takes its name.
func (a *attacks) usedAgain(t *testing.T) {
	a.nearMisses(t, `[{"claim":"repository_id","op":"eq","value":"5678"},{"claim":"repository_owner_id","op":"eq","value":"1234"}]`,
		object{"repository": "acme/shop", "repository_id": "5678", "repository_owner_id": "1234", "repository_owner": "acme"},
		object{"repository_id": "9999"}, object{"repository_owner_id": "9999"}, object{"repository_id": gone}, object{"repository_id": 5678},
		object{"repository_id": "5678 "}, object{"repository_id": []string{"5678"}}, object{"repository_id": "05678"})
	account := func(uid string) object {
		return object{"kubernetes.io": object{"namespace": "shop", "serviceaccount": object{"name": "api", "uid": uid}}}
	}
	a.nearMisses(t, `[{"claim":"/kubernetes.io/serviceaccount/uid","op":"eq","value":"e6a8680e"}]`, account("e6a8680e"), account("00000000"), account(""))
}

// forks: a pipeline that strangers can start claims to be the project's.
func (a *attacks) forks(t *testing.T) {
	a.nearMisses(t, `[{"claim":"project_id","op":"eq","value":"7"},{"claim":"ref_protected","op":"eq","value":"true"},
			{"claim":"pipeline_source","op":"in","value":["push","web","schedule"]}]`,
		object{"project_id": "7", "ref_protected": "true", "pipeline_source": "push"},
		object{"ref_protected": "false"}, object{"ref_protected": true}, object{"ref_protected": gone}, object{"ref_protected": "TRUE"},
		object{"pipeline_source": "merge_request_event"}, object{"pipeline_source": gone}, object{"project_id": "8"})
	a.nearMisses(t, `[{"claim":"repository_id","op":"eq","value":"5678"},{"claim":"event_name","op":"in","value":["push","workflow_dispatch"]},
			{"claim":"environment","op":"eq","value":"production"},{"claim":"ref","op":"eq","value":"refs/heads/main"}]`,
		object{"repository_id": "5678", "event_name": "push", "environment": "production", "ref": "refs/heads/main"},
		object{"event_name": "pull_request_target"}, object{"event_name": "pull_request"}, object{"event_name": "workflow_run"},
		object{"environment": gone}, object{"environment": "Production"}, object{"ref": "refs/pull/1/merge"}, object{"ref": "refs/heads/main2"})
}

func (a *attacks) mails(t *testing.T) {
	a.nearMisses(t, `[{"claim":"email","op":"eq","value":"alice@acme.com"},{"claim":"email_verified","op":"eq","value":true}]`,
		object{"email": "alice@acme.com", "email_verified": true},
		object{"email_verified": false}, object{"email_verified": "true"}, object{"email_verified": "false"}, object{"email_verified": gone},
		object{"email_verified": 1}, object{"email_verified": 0}, object{"email_verified": nil}, object{"email_verified": []bool{true}},
		object{"email": "a@evil@acme.com"}, object{"email": "alice@acme.com@evil.com"}, object{"email": "Alice@acme.com"},
		object{"email": "alice@acme.com\u0001"}, object{"email": "alice@acme.com "}, object{"email": "alice+x@acme.com"},
		object{"email": "аlice@acme.com"}, object{"email": []string{"alice@acme.com"}}, object{"email": gone, "Email": "alice@acme.com"})
}

func (a *attacks) patterns(t *testing.T) {
	subject := func(texts ...string) (list []object) {
		for _, text := range texts {
			list = append(list, object{"project": text})
		}
		return list
	}
	a.nearMisses(t, `[{"claim":"project","op":"re","value":"main|release"}]`, object{"project": "main"},
		subject("mainline", "prerelease", "main|release", "main\n", "\nrelease", "xmain", "Main", "")...)
	a.nearMisses(t, `[{"claim":"project","op":"glob","value":"repo:acme/*"}]`, object{"project": "repo:acme/shop"},
		subject("repo:acme/shop/evil", "repo:acme/shop:ref", "repo:acme", "repo:acmeX/shop", "repo:Acme/shop", "xrepo:acme/shop", "repo:evil/repo:acme/x")...)
	a.nearMisses(t, `[{"claim":"project","op":"glob","value":"acme.shop*"}]`, object{"project": "acme.shop"}, subject("acmeXshop", "acme.sho", "acme.shop/x")...)
}

func (a *attacks) shapes(t *testing.T) {
	a.nearMisses(t, `[{"claim":"groups","op":"has","value":"admin"}]`, object{"groups": []string{"staff", "admin"}},
		object{"groups": "not-admin-group"}, object{"groups": "admin,staff"}, object{"groups": "admin staff"}, object{"groups": []string{"not-admin"}},
		object{"groups": []any{[]string{"admin"}}}, object{"groups": object{"admin": true}}, object{"groups": `["admin"]`}, object{"groups": []any{}},
		object{"groups": gone}, object{"groups": gone, "Groups": []string{"admin"}}, object{"groups": []any{true, 1, nil}})
	a.nearMisses(t, `[{"claim":"tier","op":"eq","value":1}]`, object{"tier": 1},
		object{"tier": "1"}, object{"tier": true}, object{"tier": []int{1}}, object{"tier": raw("1.0000000000000000000001")}, object{"tier": raw("9007199254740993")})
}

// leftOut: a deny rule would have met the groups that the issuer left out.
func (a *attacks) leftOut(t *testing.T) {
	p := a.provider(t, ours())
	allow := object{
		"id": "all", "version": 1, "effect": "allow", "issuer": identitytest.Issuer, "target": "shop", "match": raw(anybody),
		"roles": []string{"app_read"}, "max_ttl": 900,
	}
	deny := allow.With("id", "contractors").With("effect", "deny").With("match", raw(`[{"claim":"groups","op":"has","value":"contractors"}]`))
	delete(deny, "roles")
	delete(deny, "max_ttl")
	s := a.scene(t, withRoles([]object{allow, deny}), p.Issuer())
	s.accepts(t, wish(token(s.claims(object{"groups": []string{"staff"}}))))
	denied := object{"groups": []string{"contractors"}}
	s.refuses(t, wish(token(s.claims(denied))), proven(badTarget, badTarget.Reason, "denied"))
	trap := a.provider(t)
	for _, changes := range []object{
		{"_claim_names": object{"groups": "src1"}, "_claim_sources": object{"src1": object{"endpoint": trap.URL + "/groups"}}},
		{"hasgroups": true},
		{"hasgroups": "true"},
		{"hasgroups": true, "groups": []string{"staff"}},
		{"_claim_names": object{}, "hasgroups": true},
	} {
		s.refuses(t, wish(token(s.claims(changes))), proven(overage, overage.Reason, "claims_overage"))
	}
	nowhere := object{"_claim_names": object{"groups": "src1"}} // says that groups are left out, and not where they are
	s.refuses(t, wish(token(s.claims(nowhere))), proven(badToken, identity.ReasonTokenMalformed, identity.ReasonTokenMalformed))
	mustBeUntouched(t, trap)
}

// emptyIdentity: the claim that is to name the caller names nobody, once by the issuer's choice, once by the rule's.
func (a *attacks) emptyIdentity(t *testing.T) {
	p := a.provider(t, ours())
	issuer := p.Issuer()
	issuer.Identity = "oid"
	byIssuer := a.scene(t, rulesFor(anybody), issuer)
	byRule := a.scene(t, strings.ReplaceAll(rulesFor(anybody), `"id":"rule of`, `"identity":"oid","id":"rule of`), p.Issuer())
	for _, s := range []*scene{byIssuer, byRule} {
		if got := s.accepts(t, wish(token(s.claims(object{"oid": "7"})))); got.Identity != "7" || got.Subject.Subject != "alice" {
			t.Errorf("identity %q of %q, want 7 of alice", got.Identity, got.Subject.Subject)
		}
	}
	for _, oid := range []any{"", " ", "7 ", gone, nil, true, 1.5, []string{"7"}, object{}, "a\u202eb", strings.Repeat("x", 256), raw(`"\udc00"`)} {
		form := wish(token(byIssuer.claims(object{"oid": oid})))
		byIssuer.refuses(t, form, proven(badToken, identity.ReasonIdentityMissing, identity.ReasonIdentityMissing))
		a.tried.Add(1)
		if got := byRule.post(t, form); got.Status < 400 || len(byRule.ledger.minted) != 1 {
			t.Fatalf("identity %v: minted", oid)
		}
		a.refused.Add(1)
	}
	byRule.refuses(t, wish(token(byRule.claims(object{"oid": "7\x00"}))), unproven(identity.ReasonTokenMalformed))
}

// slowPatterns: a text that makes a backtracking matcher run for years. Ours takes time in proportion to text and
// pattern (RE2), and a text over 1,024 bytes does not match at all.
func (a *attacks) slowPatterns(t *testing.T) {
	start := time.Now()
	a.nearMisses(t, `[{"claim":"project","op":"re","value":"(a+)+(b|a?)*c"}]`, object{"project": "aaac"},
		object{"project": strings.Repeat("a", 1000) + "!"}, object{"project": strings.Repeat("a", 10_000) + "c"})
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// revokedUser: everything issued before the revocation is refused, at the mint itself; nothing else knows of epochs.
func (a *attacks) revokedUser(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	form := wish(token(s.claims(nil)))
	s.accepts(t, form)
	s.ledger.epoch = true
	s.refuses(t, form, refusal{answer: overtaken, logged: "epoch_overtaken", left: touched{Asked: 1}})
}
