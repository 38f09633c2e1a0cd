package main

import (
	"crypto"
	"net/http"
	"strings"
	"testing"

	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

// linkedKeys: the header says where the attacker's own key lies (jwt_tool -X s). Nobody goes there.
func (a *attacks) linkedKeys(t *testing.T) {
	p, trap := a.provider(t, ours()), a.provider(t, identitytest.JWK("r", identitytest.ForeignRSA().Public(), nil))
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	for _, member := range []string{"jku", "x5u"} {
		header := identitytest.Object{"alg": "RS256", "kid": "r", member: trap.URL + "/keys"}.JSON()
		raw := identitytest.Signed("RS256", identitytest.ForeignRSA(), header, s.claims(nil).JSON())
		mustFetch(t, p, 0, func() { s.refuses(t, wish(raw), unproven(identity.ReasonHeaderNotAllowed)) })
	}
	mustBeUntouched(t, trap)
	control(t, s, p)
}

// swappedKeys: two issuers use the same kid; each one's key signs as the other.
func (a *attacks) swappedKeys(t *testing.T) {
	one := a.provider(t, ours())
	other := a.provider(t, identitytest.JWK("r", identitytest.ForeignRSA().Public(), nil))
	second := other.Issuer()
	second.Issuer = "https://other.example"
	s := a.scene(t, rulesFor(anybody, identitytest.Issuer, second.Issuer), one.Issuer(), second)
	sign := func(key crypto.Signer, issuer string) string {
		return identitytest.Token("RS256", "r", key, s.claims(identitytest.Object{"iss": issuer}))
	}
	for range 2 { // cold, then warm
		s.refuses(t, wish(sign(identitytest.RSAKey(), second.Issuer)), unproven(identity.ReasonSignatureInvalid))
		s.refuses(t, wish(sign(identitytest.ForeignRSA(), identitytest.Issuer)), unproven(identity.ReasonSignatureInvalid))
	}
	s.accepts(t, wish(sign(identitytest.RSAKey(), identitytest.Issuer)))
	s.accepts(t, wish(sign(identitytest.ForeignRSA(), second.Issuer)))
	if one.Fetches.Load() != 1 || other.Fetches.Load() != 1 {
		t.Errorf("%d and %d requests, want one to each issuer", one.Fetches.Load(), other.Fetches.Load())
	}
}

// foreignAddresses: the token's issuer is a server that the attacker would like us to ask.
func (a *attacks) foreignAddresses(t *testing.T) {
	p, trap := a.provider(t, ours()), a.provider(t, identitytest.JWK("r", identitytest.ForeignRSA().Public(), nil))
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	for _, issuer := range []string{
		trap.URL, trap.URL + "/", strings.Replace(trap.URL, "https:", "http:", 1), identitytest.Issuer + "@" + strings.TrimPrefix(trap.URL, "https://"),
		"https://169.254.169.254/latest/meta-data/", "http://169.254.170.2/v2/credentials", "https://[fd00:ec2::254]/", "file:///etc/passwd",
		"https://localhost:5432", p.URL,
	} {
		raw := identitytest.Token("RS256", "r", identitytest.ForeignRSA(), s.claims(identitytest.Object{"iss": issuer}))
		mustFetch(t, p, 0, func() { s.refuses(t, wish(raw), unproven(identity.ReasonIssuerUnknown)) })
	}
	mustBeUntouched(t, trap)
	control(t, s, p)
}

// privateAddress: a configured name has come to point into our own network. The connection is not even made.
func (a *attacks) privateAddress(t *testing.T) {
	p := a.provider(t, ours())
	issuer := p.Issuer()
	issuer.Private = false
	s := a.scene(t, rulesFor(anybody), issuer)
	s.refuses(t, wish(token(s.claims(nil))), refusal{answer: unavailable, logged: identity.ReasonKeysUnavailable})
	mustBeUntouched(t, p)
}

// redirects: the key server sends us to keys of the attacker's. There is no discovery document that could be redirected:
// the key server's address is configured.
func (a *attacks) redirects(t *testing.T) {
	trap := a.provider(t, identitytest.JWK("r", identitytest.ForeignRSA().Public(), nil))
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, to := range []string{trap.URL + "/keys", "/elsewhere", "//" + strings.TrimPrefix(trap.URL, "https://") + "/keys"} {
			p := a.provider(t, ours())
			p.Answer(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) })
			s := a.scene(t, rulesFor(anybody), p.Issuer())
			raw := identitytest.Token("RS256", "r", identitytest.ForeignRSA(), s.claims(nil))
			want := refusal{answer: unavailable, logged: identity.ReasonKeysUnavailable}
			mustFetch(t, p, 1, func() { s.refuses(t, wish(raw), want) })
			mustFetch(t, p, 0, func() { s.refuses(t, wish(raw), want) }) // not asked again at once
		}
	}
	mustBeUntouched(t, trap)
}

func mustBeUntouched(t *testing.T, trap *identitytest.Provider) {
	t.Helper()
	if n := trap.Connections.Load(); n != 0 {
		t.Errorf("%d connections to an address that only the attacker named", n)
	}
}

// otherDeployment: one issuer, two deployments; what was issued for one is presented to the other.
func (a *attacks) otherDeployment(t *testing.T) {
	p := a.provider(t, ours())
	deployed := func(audience string) *scene {
		issuer := p.Issuer()
		issuer.Audiences = []string{audience}
		return a.scene(t, rulesFor(anybody), issuer)
	}
	test, production := deployed("https://sts.test.example"), deployed("https://sts.example")
	for audience, doors := range map[string]struct{ open, shut *scene }{
		"https://sts.test.example": {test, production}, "https://sts.example": {production, test},
	} {
		raw := token(test.claims(identitytest.Object{"aud": audience}))
		doors.shut.refuses(t, wish(raw), unproven(identity.ReasonAudienceMismatch))
		doors.open.accepts(t, wish(raw))
	}
}

// otherKinds: what RFC 8693 has words for and we do not take, and a token beside the one that counts.
func (a *attacks) otherKinds(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	raw := token(s.claims(nil))
	const prefix = "urn:ietf:params:oauth:token-type:"
	invalid, missing := refusal{answer: badValue, logged: badValue.Reason}, refusal{answer: noValue, logged: noValue.Reason}
	for _, kind := range []string{"refresh_token", "saml1", "saml2", "id_token ", "ID_TOKEN", "logout_token"} {
		s.refuses(t, wish(raw, "subject_token_type", prefix+kind), invalid)
	}
	s.refuses(t, wish(raw, "subject_token_type", ""), missing)
	s.refuses(t, wish(raw, "actor_token", raw, "actor_token_type", prefix+"jwt"), invalid)
	s.refuses(t, wish(raw, "requested_token_type", prefix+"refresh_token"), invalid)
	// This issuer has no access tokens enabled.
	s.refuses(t, wish(raw, "subject_token_type", prefix+"access_token"), unproven(identity.ReasonWrongTokenKind))
	if p.Fetches.Load() != 0 {
		t.Errorf("%d requests for tokens that were not read", p.Fetches.Load())
	}
	control(t, s, p)
}
