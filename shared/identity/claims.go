package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"dbsts/shared/config"
)

const (
	expiryLeeway = 30 * time.Second // a token may be this long past exp, for clocks that differ
	futureLeeway = 60 * time.Second // iat and nbf may be this far ahead
	lastSecond   = 253402300799     // 9999-12-31T23:59:59Z, the last instant that RFC 3339 can write
)

// form is how a token that is presented as this kind and has this header typ must look; false: there is none such at
// this issuer (RFC 8725 §3.11).
func (iss *issuer) form(kind Kind, typ string) (config.Form, bool) {
	var forms []config.Form
	switch {
	case kind == IDToken || kind == JWT:
		forms = iss.preset.ID
	case kind == AccessToken && iss.AccessTokens:
		forms = iss.preset.Access
	}
	i := slices.IndexFunc(forms, func(f config.Form) bool { return slices.Contains(f.Types, typ) })
	if i < 0 {
		return config.Form{}, false
	}
	return forms[i], true
}

// describe fills in what names a token whose signature is good, so that even its refusal can be put on record.
func (t *Token) describe(p parsed) {
	t.Claims = p.claims
	t.Key = tokenKey(p)
	if sub, ok := p.claims["sub"].(string); ok && printable(sub) {
		t.Subject = sub
	}
	if sid, ok := text(p.claims["sid"]); ok {
		t.SID = sid
	}
}

// checkClaims checks what the signature has proven and fills in the rest of t. One of our audiences is there already,
// and exp is in time.
func (iss *issuer) checkClaims(t *Token, kind Kind, form config.Form, now time.Time) *Error {
	deny := func(reason string) *Error { return &Error{Reason: reason, Proven: true} }
	c := t.Claims
	if t.Subject == "" {
		return deny(ReasonSubjectInvalid)
	}
	if _, there := c["sid"]; there && t.SID == "" {
		return deny(ReasonTokenMalformed) // a session that no logout could name
	}
	if reason := iss.checkTimes(t, c, now); reason != "" {
		return deny(reason)
	}
	if _, there := c["cnf"]; there {
		return deny(ReasonSenderConstrained)
	}
	if reason := checkKind(kind, form, c); reason != "" {
		return deny(reason)
	}
	if reason := iss.checkAudience(form, c); reason != "" {
		return deny(reason)
	}
	_, names := c["_claim_names"] // OpenID Connect Core §5.6.2
	_, groups := c["hasgroups"]   // Entra, implicit flow
	t.Overage = names || groups
	found, _ := Lookup(c, iss.Identity)
	identity, ok := text(found)
	if !ok {
		return deny(ReasonIdentityMissing)
	}
	t.Identity = identity
	return nil
}

// checkTimes reads iat, nbf and exp, bounds the token's age and its life, and returns a reason or "".
func (iss *issuer) checkTimes(t *Token, c map[string]any, now time.Time) string {
	var haveIssued, haveExpires bool
	t.IssuedAt, haveIssued = instant(c["iat"])
	t.Expires, haveExpires = instant(c["exp"])
	if !haveIssued || !haveExpires {
		return ReasonTokenMalformed
	}
	notBefore := t.IssuedAt
	if nbf, there := c["nbf"]; there {
		var ok bool
		if notBefore, ok = instant(nbf); !ok {
			return ReasonTokenMalformed
		}
	}
	latest := now.Add(futureLeeway)
	switch {
	case t.IssuedAt.After(latest), notBefore.After(latest):
		return ReasonTokenNotYetValid
	case now.Sub(t.IssuedAt) > iss.MaxTokenAge:
		return ReasonTokenTooOld
	case t.Expires.Sub(t.IssuedAt) > iss.MaxTokenLife:
		return ReasonTokenLivesTooLong
	}
	return ""
}

// checkKind refuses what is no token about a subject, or another kind than announced, and returns a reason or "".
// Issuers that mark the kind do it in typ (Keycloak: ID, Bearer, Refresh, Offline, Logout …) or in token_use (Cognito:
// id, access); a mark that we do not know is refused, and so is one that the form asks for and that is not there.
func checkKind(kind Kind, form config.Form, c map[string]any) string {
	if _, there := c["events"]; there { // RFC 8417 §2.2; OpenID Connect Back-Channel Logout §2.4
		return ReasonWrongTokenKind
	}
	marks := map[string][]string{"typ": {"id", "jwt"}, "token_use": {"id"}}
	if kind == AccessToken {
		marks = map[string][]string{"typ": {"bearer", "at+jwt"}, "token_use": {"access"}}
	}
	if form.Mark != "" {
		marks[form.Mark] = []string{form.Says}
	}
	for claim, accepted := range marks {
		mark, there := c[claim]
		value, _ := mark.(string)
		if (there || claim == form.Mark) && !slices.Contains(accepted, strings.ToLower(value)) {
			return ReasonWrongTokenKind
		}
	}
	for _, claim := range form.Requires {
		if value, _ := c[claim].(string); value == "" {
			return ReasonTokenMalformed
		}
	}
	return ""
}

// audiences reads aud or, where the form knows a claim for it and there is no aud, that claim. There is false when the
// token has neither; ok, when what it has is no list of audiences.
func audiences(form config.Form, c map[string]any) (list []string, there, ok bool) {
	claim := "aud"
	if _, has := c[claim]; !has && form.Audience != "" {
		claim = form.Audience
	}
	value, there := c[claim]
	list, ok = listOf(value)
	return list, there, ok
}

// checkAudience refuses strangers beside us in aud, and parties that may not present the token, and returns a reason
// or "" (OpenID Connect Core §3.1.3.7, points 3 to 5).
func (iss *issuer) checkAudience(form config.Form, c map[string]any) string {
	addressed, _, ok := audiences(form, c)
	if !ok {
		return ReasonTokenMalformed
	}
	for _, a := range addressed {
		if !slices.Contains(iss.Audiences, a) && !slices.Contains(iss.ExtraAudiences, a) {
			return ReasonAudienceMismatch
		}
	}
	azp, there := c["azp"]
	if !there && len(addressed) < 2 {
		return ""
	}
	if party, isText := azp.(string); !isText || !slices.Contains(iss.AuthorizedParties, party) {
		return ReasonAuthorizedPartyMismatch
	}
	return ""
}

// tokenKey names the token by its content, never by its text.
func tokenKey(p parsed) string {
	if jti, ok := p.claims["jti"].(string); ok && jti != "" && len(jti) <= maxText {
		return "jti:" + jti
	}
	sum := sha256.Sum256(p.payload)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// instant reads a NumericDate (RFC 7519 §2), a JSON number of seconds, fractions cut off.
func instant(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC(), true
}

// listOf reads aud: one string, or an array of strings (RFC 7519 §4.1.3).
func listOf(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}
