package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	expiryLeeway = 30 * time.Second // a token may be this long past exp, for clocks that differ
	futureLeeway = 60 * time.Second // iat and nbf may be this far ahead
	lastSecond   = 253402300799     // 9999-12-31T23:59:59Z, the last instant that RFC 3339 can write
)

// accepts tells whether a token with this header typ may be presented as this kind (RFC 8725 §3.11).
func (iss *issuer) accepts(kind Kind, typ string) bool {
	switch kind {
	case IDToken, JWT:
		return typ == "" || typ == "jwt"
	case AccessToken:
		return iss.AccessTokens && typ == "at+jwt" // RFC 9068 §4
	}
	return false
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
func (iss *issuer) checkClaims(t *Token, kind Kind, now time.Time) *Error {
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
	if reason := checkKind(kind, c); reason != "" {
		return deny(reason)
	}
	if reason := iss.checkAudience(c); reason != "" {
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
// id, access); a mark that we do not know is refused.
func checkKind(kind Kind, c map[string]any) string {
	if _, there := c["events"]; there { // RFC 8417 §2.2; OpenID Connect Back-Channel Logout §2.4
		return ReasonWrongTokenKind
	}
	marks := map[string][]string{"typ": {"id", "jwt"}, "token_use": {"id"}}
	if kind == AccessToken {
		marks = map[string][]string{"typ": {"bearer", "at+jwt"}, "token_use": {"access"}}
	}
	for claim, accepted := range marks {
		mark, there := c[claim]
		value, _ := mark.(string)
		if there && !slices.Contains(accepted, strings.ToLower(value)) {
			return ReasonWrongTokenKind
		}
	}
	if kind == AccessToken { // RFC 9068 §2.2; the other required claims are required of every token
		for _, claim := range []string{"client_id", "jti"} {
			if value, _ := c[claim].(string); value == "" {
				return ReasonTokenMalformed
			}
		}
	}
	return ""
}

// checkAudience refuses strangers beside us in aud, and parties that may not present the token, and returns a reason
// or "" (OpenID Connect Core §3.1.3.7, points 3 to 5).
func (iss *issuer) checkAudience(c map[string]any) string {
	audiences, ok := listOf(c["aud"])
	if !ok {
		return ReasonTokenMalformed
	}
	for _, a := range audiences {
		if !slices.Contains(iss.Audiences, a) && !slices.Contains(iss.ExtraAudiences, a) {
			return ReasonAudienceMismatch
		}
	}
	azp, there := c["azp"]
	if !there && len(audiences) < 2 {
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
