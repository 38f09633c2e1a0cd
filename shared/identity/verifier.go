package identity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	jose "github.com/go-jose/go-jose/v4"

	"dbsts/shared/config"
)

// Verifier verifies tokens of the configured issuers. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*issuer // by exact iss
	now     func() time.Time   // wall clock
}

// issuer is one configured issuer and its keys. Keys are found by issuer first and kid second, never by kid alone.
type issuer struct {
	config.Issuer
	preset config.Preset
	keys   *keySet
}

// New prepares a verifier for issuers whose defaults are filled in. It reads CA files and static key sets; it does not
// use the network. The error names every issuer that cannot be used.
func New(issuers []config.Issuer, now func() time.Time) (*Verifier, error) {
	v := &Verifier{issuers: map[string]*issuer{}, now: func() time.Time { return now().Round(0) }}
	var problems []error
	for _, c := range issuers {
		keys, err := newIssuerKeys(c, v.now)
		if _, twice := v.issuers[c.Issuer]; twice {
			err = errors.New("configured twice")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("issuer %s: %w", c.Issuer, err))
			continue
		}
		preset, _ := config.PresetOf(c.Preset)
		v.issuers[c.Issuer] = &issuer{Issuer: c, preset: preset, keys: keys}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return v, nil
}

// newIssuerKeys refuses an issuer that would weaken a check by what its configuration leaves out.
func newIssuerKeys(c config.Issuer, now func() time.Time) (*keySet, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("no issuer")
	case len(c.Audiences) == 0 || slices.Contains(c.Audiences, ""):
		return nil, errors.New("no audiences, or an empty one")
	case len(c.Algorithms) == 0:
		return nil, errors.New("no algorithms")
	case c.MaxTokenAge <= 0 || c.MaxTokenLife <= 0:
		return nil, errors.New("max_token_age and max_token_life must be positive")
	case c.Identity == "":
		return nil, errors.New("no identity claim")
	case (c.JWKS == "") == (c.JWKSURI == ""):
		return nil, errors.New("exactly one of jwks_uri and jwks is needed")
	}
	if _, known := config.PresetOf(c.Preset); !known {
		return nil, fmt.Errorf("preset %q is not known", c.Preset)
	}
	for _, algorithm := range c.Algorithms {
		if !slices.Contains(Algorithms(), algorithm) {
			return nil, fmt.Errorf("algorithm %q is not supported", algorithm)
		}
	}
	if c.JWKSURI != "" {
		if u, err := url.Parse(c.JWKSURI); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, errors.New("jwks_uri must be an https address without user info")
		}
	}
	return newKeySet(c, now)
}

// Warm fetches all key sets in parallel, so that the first token need not wait. Its error only informs: a set that
// could not be had is asked for again when a token needs it.
func (v *Verifier) Warm(ctx context.Context) error {
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex
		problems []error
	)
	for name, iss := range v.issuers {
		wait.Go(func() {
			if err := iss.keys.warm(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, fmt.Errorf("issuer %s: %w", name, err))
			}
		})
	}
	wait.Wait()
	return errors.Join(problems...)
}

// Verify checks a token of the announced kind and returns what it says. Every error is an *Error; it is ErrUnavailable
// when the issuer's keys cannot be had, and ErrInvalid otherwise. The context bounds the wait for keys.
func (v *Verifier) Verify(ctx context.Context, raw string, kind Kind) (Token, error) {
	// 1. One strict reading of the text; header members that are dangerous anywhere.
	p, refusal := parse(raw)
	if refusal != nil {
		return Token{}, refusal
	}
	// 2. The issuer, byte for byte. An unknown one costs nothing more.
	name, _ := p.claims["iss"].(string)
	iss, known := v.issuers[name]
	if !known {
		return Token{}, refused(ReasonIssuerUnknown)
	}
	// 3. What can be refused for free, so that junk never reaches the key fetcher.
	now := v.now()
	t := Token{Issuer: name}
	form, refusal := iss.checkHeader(p, kind)
	if refusal != nil {
		return refuse(t, refusal)
	}
	audience, refusal := iss.precheck(p, form, now)
	if refusal != nil {
		return refuse(t, refusal)
	}
	// 4. Key and signature.
	refusal = iss.verifySignature(ctx, raw, p, audience, now)
	// 5. Every other claim. Where go-oidc stumbled over one, our reason is the more exact.
	if refusal == nil || refusal.Proven {
		t.describe(p)
		if exact := iss.checkClaims(&t, kind, form, now); exact != nil {
			refusal = exact
		}
	}
	if refusal != nil {
		return refuse(t, refusal)
	}
	return t, nil
}

// refuse hands a refusal out together with what is known of the token.
func refuse(t Token, refusal *Error) (Token, error) {
	refusal.Token = t
	return Token{}, refusal
}

// precheck does what needs neither key nor network: audience, expiry. What it reads is not yet proven; the
// signature, checked next, covers it. It returns the audience of ours that the token names.
func (iss *issuer) precheck(p parsed, form config.Form, now time.Time) (string, *Error) {
	expires, timed := instant(p.claims["exp"])
	addressed, there, ok := audiences(form, p.claims)
	if !timed || there && !ok {
		return "", refused(ReasonTokenMalformed)
	}
	ours := slices.IndexFunc(addressed, func(a string) bool { return slices.Contains(iss.Audiences, a) })
	if ours < 0 {
		return "", refused(ReasonAudienceMismatch)
	}
	if !expires.After(now.Add(-expiryLeeway)) {
		return "", refused(ReasonTokenExpired)
	}
	return addressed[ours], nil
}

// checkHeader refuses kinds and algorithms that this issuer's tokens do not have, and says how this one must look.
func (iss *issuer) checkHeader(p parsed, kind Kind) (config.Form, *Error) {
	form, expected := iss.form(kind, p.typ)
	if !expected {
		return config.Form{}, refused(ReasonWrongTokenKind)
	}
	if !slices.Contains(iss.Algorithms, p.alg) {
		return config.Form{}, refused(ReasonAlgorithmNotAllowed)
	}
	return form, nil
}

// verifySignature lets go-oidc verify the token with this issuer's keys: signature, issuer, audience and expiry once
// more. Its own errors carry no types, so the signature step records what happened.
func (iss *issuer) verifySignature(ctx context.Context, raw string, p parsed, audience string, now time.Time) *Error {
	step := &signatureStep{keys: iss.keys, parsed: p}
	_, named := p.claims["aud"] // else another claim names the audience: precheck knows it, go-oidc would not
	verifier := oidc.NewVerifier(iss.Issuer.Issuer, step, &oidc.Config{
		ClientID:             audience,
		SkipClientIDCheck:    !named,
		SupportedSigningAlgs: []string{p.alg},
		Now:                  func() time.Time { return now.Add(-expiryLeeway) },
	})
	_, err := verifier.Verify(ctx, raw)
	switch {
	case err == nil && step.proven:
		return nil
	case step.proven: // go-oidc reads a claim as another type than the token has, such as nonce or _claim_names
		return &Error{Reason: ReasonTokenMalformed, Proven: true}
	case step.refusal != nil:
		return step.refusal
	}
	return refused(ReasonTokenMalformed)
}

// signatureStep is the oidc.KeySet of one verification.
type signatureStep struct {
	keys    *keySet
	parsed  parsed
	proven  bool
	refusal *Error
}

// VerifySignature finds the key, insists that key and header agree, and checks the signature (RFC 8725 §3.1).
func (s *signatureStep) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	k, err := s.keys.find(ctx, s.parsed.kid)
	switch {
	case errors.Is(err, errKeyUnknown):
		return s.refuse(ReasonKeyUnknown)
	case err != nil:
		s.refusal = &Error{Reason: ReasonKeysUnavailable, Cause: err}
		return nil, s.refusal
	case !slices.Contains(k.algorithms, s.parsed.alg):
		return s.refuse(ReasonAlgorithmNotAllowed)
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.parsed.alg)})
	if err != nil {
		return s.refuse(ReasonTokenMalformed)
	}
	payload, err := jws.Verify(k.public)
	if err != nil || !bytes.Equal(payload, s.parsed.payload) {
		return s.refuse(ReasonSignatureInvalid)
	}
	if s.parsed.alg == string(jose.PS256) && !saltFits(raw, k, jws.Signatures[0].Signature) {
		return s.refuse(ReasonSignatureInvalid)
	}
	s.proven = true
	return payload, nil
}

func (s *signatureStep) refuse(reason string) ([]byte, error) {
	s.refusal = refused(reason)
	return nil, s.refusal
}

// saltFits verifies a PS256 signature again with the one salt length that RFC 7518 §3.5 allows; go-jose takes any.
func saltFits(raw string, k key, signature []byte) bool {
	public, ok := k.public.(*rsa.PublicKey)
	if !ok {
		return false
	}
	digest := sha256.Sum256([]byte(raw[:strings.LastIndexByte(raw, '.')]))
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, options) == nil
}
