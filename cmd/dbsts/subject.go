package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dbsts/shared/config"
	"dbsts/shared/identity"
)

// maxToken bounds what is read as a token or as claims, in bytes; package identity refuses tokens beyond 16 KiB.
const maxToken = 64 << 10

var kinds = map[string]identity.Kind{"id_token": identity.IDToken, "jwt": identity.JWT, "access_token": identity.AccessToken}

// subject is who asks. Nothing of the token's signature is kept.
type subject struct {
	Standing string     `json:"standing"` // verified, signed (the signature is good, the token is refused) or claims_given
	Issuer   string     `json:"issuer"`
	Preset   string     `json:"preset,omitempty"`
	Subject  string     `json:"subject,omitempty"`
	Identity string     `json:"identity,omitempty"` // by the issuer's configuration; a rule may name another
	Session  string     `json:"session,omitempty"`
	IssuedAt *time.Time `json:"issued_at,omitempty"`
	Expires  *time.Time `json:"expires_at,omitempty"`
	Overage  bool       `json:"overage,omitempty"` // the token says that it leaves claims out
	claims   map[string]any
	terms    config.Issuer
}

// readToken verifies the token. Errors are the verifier's.
func (a *answer) readToken(ctx context.Context, q question, cfg config.Config, t terminal) error {
	text, err := readInput(q.token, t.in, maxToken)
	if err != nil {
		return err
	}
	raw := strings.TrimSpace(string(text))
	if raw == "" {
		return fmt.Errorf("%s: there is no token in it", inputName(q.token))
	}
	verifier, err := identity.New(cfg.Issuers, t.now)
	if err != nil {
		return fmt.Errorf("set up issuers: %w", err)
	}
	token, err := verifier.Verify(ctx, raw, kinds[q.kind])
	var bad *identity.Error
	switch {
	case err == nil:
		a.take("verified", token, cfg)
	case errors.As(err, &bad) && bad.Proven:
		a.take("signed", bad.Token, cfg)
		a.Hint = hint(bad.Reason, cfg, bad.Token.Issuer)
	case bad != nil:
		a.Unproven = unproven(raw)
		a.Hint = hint(bad.Reason, cfg, bad.Token.Issuer)
	}
	return err
}

// take fills in what is known of a token whose signature is good.
func (a *answer) take(standing string, token identity.Token, cfg config.Config) {
	terms, _ := cfg.Issuer(token.Issuer)
	a.Subject = &subject{
		Standing: standing, Issuer: token.Issuer, Preset: terms.Preset, Subject: token.Subject, Identity: token.Identity, Session: token.SID,
		Overage: token.Overage, claims: token.Claims, terms: terms,
	}
	if !token.IssuedAt.IsZero() {
		a.Subject.IssuedAt = &token.IssuedAt
	}
	if !token.Expires.IsZero() {
		a.Subject.Expires = &token.Expires
	}
}

// readClaims takes claims on trust. Only what rules need is asked of them: a configured issuer, and an identity.
func (a *answer) readClaims(q question, cfg config.Config, in io.Reader) error {
	text, err := readInput(q.claims, in, maxToken)
	if err != nil {
		return err
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&claims) != nil || claims == nil || decoder.More() {
		return fmt.Errorf("%s: claims are one JSON object", inputName(q.claims))
	}
	issuer := q.issuer
	if issuer == "" {
		issuer, _ = claims["iss"].(string)
	}
	terms, known := cfg.Issuer(issuer)
	a.Subject = &subject{Standing: "claims_given", Issuer: issuer, Preset: terms.Preset, claims: claims, terms: terms}
	if !known {
		a.Hint = hint(identity.ReasonIssuerUnknown, cfg, "")
		return &identity.Error{Reason: identity.ReasonIssuerUnknown}
	}
	a.Subject.Subject, _ = identity.Name(claims, "sub")
	_, named := claims["_claim_names"]
	_, groups := claims["hasgroups"]
	a.Subject.Overage = named || groups
	if a.Subject.Identity, known = identity.Name(claims, terms.Identity); !known {
		a.Hint = hint(identity.ReasonIdentityMissing, cfg, issuer)
		return &identity.Error{Reason: identity.ReasonIdentityMissing}
	}
	return nil
}

// hint says which setting a refusal of the token has to do with; empty when with none.
func hint(reason string, cfg config.Config, issuer string) string {
	is, _ := cfg.Issuer(issuer)
	switch reason {
	case identity.ReasonIssuerUnknown:
		var names []string
		for _, each := range cfg.Issuers {
			names = append(names, each.Issuer)
		}
		return "iss must be, byte for byte, one of " + strings.Join(names, " ")
	case identity.ReasonAudienceMismatch:
		text := "aud must hold one of audiences: " + strings.Join(is.Audiences, " ")
		if len(is.ExtraAudiences) > 0 {
			return text + ", and beside them nothing but extra_audiences: " + strings.Join(is.ExtraAudiences, " ")
		}
		return text + ", and nothing else"
	case identity.ReasonAuthorizedPartyMismatch:
		if len(is.AuthorizedParties) == 0 {
			return "the token has an azp, or several audiences: list the clients that may present it in authorized_parties"
		}
		return "azp must be one of authorized_parties: " + strings.Join(is.AuthorizedParties, " ")
	case identity.ReasonTokenTooOld:
		return "max_token_age is " + is.MaxTokenAge.String()
	case identity.ReasonTokenLivesTooLong:
		return "max_token_life is " + is.MaxTokenLife.String()
	case identity.ReasonAlgorithmNotAllowed:
		return "algorithms are " + strings.Join(is.Algorithms, " ")
	case identity.ReasonIdentityMissing:
		return "identity is the claim " + is.Identity
	case identity.ReasonWrongTokenKind:
		return "it is no token of the kind that -kind names; access tokens need access_tokens: true"
	case identity.ReasonKeyUnknown:
		return "the key set has no such key: " + is.JWKSURI
	}
	return ""
}

// unproven is what a token that proves nothing says about what is compared with the configuration; nil if it cannot be
// read.
func unproven(raw string) json.RawMessage {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var said struct {
		Issuer   any `json:"iss,omitempty"`
		Audience any `json:"aud,omitempty"`
		Party    any `json:"azp,omitempty"`
		Client   any `json:"client_id,omitempty"`
		Kind     any `json:"typ,omitempty"`
		Use      any `json:"token_use,omitempty"`
		IssuedAt any `json:"iat,omitempty"`
		Expires  any `json:"exp,omitempty"`
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if decoder.Decode(&said) != nil {
		return nil
	}
	text, err := json.Marshal(said)
	if err != nil {
		return nil
	}
	return text
}
