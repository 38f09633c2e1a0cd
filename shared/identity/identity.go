// Package identity turns an OpenID Connect token into a verified identity: who it is about, who says so, until when.
//
// The token passes a strict pre-parse, then a look-up of its issuer among the configured ones, then free checks of
// audience and expiry; only after that may it cost a key fetch. go-oidc checks signature, issuer and audience on our own
// key sets; the remaining claims are checked here, more strictly than go-oidc does.
//
// It assumes that the configuration has passed package config, and a clock that is right to within a minute. It does not
// discover issuers, follow distributed claims, remember tokens (replay), know revocation epochs or decide what an
// identity may do.
package identity

import (
	"errors"
	"time"
)

// Kind is what the caller says that the token is (RFC 8693 §3, subject_token_type).
type Kind int

// The kinds of token that can be presented. The zero Kind is refused.
const (
	IDToken     Kind = iota + 1 // OpenID Connect Core §2
	JWT                         // any signed JWT about a subject: CI jobs, Kubernetes service accounts
	AccessToken                 // RFC 9068, and only from issuers that have access tokens enabled
)

// Token is what a verified token says. Nothing in it is set from unverified text.
type Token struct {
	Issuer   string // exactly the configured issuer
	Subject  string // claim sub: 1 to 255 bytes, printable
	Identity string // the claim that the issuer's configuration names as stable; sub by default; 1 to 255 bytes, printable
	SID      string // claim sid, the session at the issuer; empty when absent
	Key      string // names this token for replay: "jti:" + jti, or "sha256:" + hex of the decoded payload
	IssuedAt time.Time
	Expires  time.Time
	Claims   map[string]any // all claims; numbers are json.Number with their digits kept; shared, not to be changed
	Overage  bool           // the issuer left claims out (_claim_names or hasgroups): absence proves nothing
}

// The sentinels behind every *Error.
var (
	// ErrInvalid says that the token cannot be accepted, now or later.
	ErrInvalid = errors.New("subject token is not acceptable")
	// ErrUnavailable says that the issuer's keys could not be had; the same token may be accepted later.
	ErrUnavailable = errors.New("signing keys of the issuer are not available")
)

// The reasons of an Error, for the log and the audit; never for the caller, who gets one text per sentinel.
const (
	ReasonTokenMalformed          = "token_malformed"           // not a strict compact JWS with strict JSON and typed claims
	ReasonHeaderNotAllowed        = "header_not_allowed"        // crit, b64, zip, an embedded or linked key, a bad kid
	ReasonWrongTokenKind          = "wrong_token_kind"          // logout, event, refresh …, or not the kind that was announced
	ReasonIssuerUnknown           = "issuer_unknown"            // iss is not, byte for byte, a configured issuer
	ReasonAlgorithmNotAllowed     = "algorithm_not_allowed"     // not in the issuer's list, or not the key's algorithm
	ReasonKeysUnavailable         = "keys_unavailable"          // ErrUnavailable; all others are ErrInvalid
	ReasonKeyUnknown              = "key_unknown"               // no such key at the issuer, or no kid where one is needed
	ReasonSignatureInvalid        = "signature_invalid"         // the key is known and did not sign this
	ReasonAudienceMismatch        = "audience_mismatch"         // ours is missing, or a stranger's is there
	ReasonAuthorizedPartyMismatch = "authorized_party_mismatch" // azp foreign, or missing beside several audiences
	ReasonTokenExpired            = "token_expired"
	ReasonTokenNotYetValid        = "token_not_yet_valid"  // iat or nbf lies in the future
	ReasonTokenTooOld             = "token_too_old"        // iat is longer ago than the issuer's max_token_age
	ReasonTokenLivesTooLong       = "token_lives_too_long" // exp − iat exceeds the issuer's max_token_life
	ReasonSenderConstrained       = "sender_constrained"   // cnf: bound to a key that we cannot ask for (RFC 7800)
	ReasonSubjectInvalid          = "subject_invalid"
	ReasonIdentityMissing         = "identity_missing" // the identity claim is absent, empty or no printable text
)

// Error says why a token was refused. Its text is that of its sentinel and holds nothing of the token.
type Error struct {
	Reason string // one of the Reason constants
	Proven bool   // the issuer's signature was good: the refusal may go on record
	Token  Token  // Issuer once it is known to be one of ours; the rest as far as checked, and only when Proven
	Cause  error  // why keys were unavailable, for the log; otherwise nil
}

// Error returns the fixed text of the sentinel.
func (e *Error) Error() string { return e.Unwrap().Error() }

// Unwrap returns ErrInvalid or ErrUnavailable.
func (e *Error) Unwrap() error {
	if e.Reason == ReasonKeysUnavailable {
		return ErrUnavailable
	}
	return ErrInvalid
}

// refused is a refusal inside the package: nil, or the reason.
func refused(reason string) *Error { return &Error{Reason: reason} }
