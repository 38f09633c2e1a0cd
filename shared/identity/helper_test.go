package identity

import (
	"context"
	"errors"
	"testing"
	"time"

	"dbsts/shared/config"
	"dbsts/shared/identity/identitytest"
)

const (
	ourIssuer   = identitytest.Issuer
	ourAudience = identitytest.Audience
)

type (
	object   = identitytest.Object
	clock    = identitytest.Clock
	provider = identitytest.Provider
)

// Short names for what stands on nearly every line.
var (
	rsaKey     = identitytest.RSAKey
	foreignRSA = identitytest.ForeignRSA
	weakRSA    = identitytest.WeakRSA
	p256Key    = identitytest.P256Key
	p384Key    = identitytest.P384Key
	edKey      = identitytest.EdKey

	newClock        = identitytest.NewClock
	newProvider     = identitytest.NewProvider
	newProviderWith = identitytest.NewProviderWith
	staticIssuer    = identitytest.Static
	goodClaims      = identitytest.GoodClaims
	encode          = identitytest.Encode
	signed          = identitytest.Signed
	token           = identitytest.Token
	jwkOf           = identitytest.JWK
	setOf           = identitytest.Set
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newVerifier(t testing.TB, now func() time.Time, issuers ...config.Issuer) *Verifier {
	t.Helper()
	v, err := New(issuers, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepts fails the test unless the token verifies.
func accepts(t *testing.T, v *Verifier, raw string, kind Kind) Token {
	t.Helper()
	got, err := v.Verify(context.Background(), raw, kind)
	if err != nil {
		t.Fatalf("refused: %v (%s)", err, reasonOf(err))
	}
	return got
}

// refuses fails the test unless the token is refused for this reason.
func refuses(t *testing.T, v *Verifier, raw string, reason string) {
	t.Helper()
	got, err := v.Verify(context.Background(), raw, IDToken)
	if err == nil {
		t.Fatalf("accepted as %q, want %s", got.Identity, reason)
	}
	if reasonOf(err) != reason {
		t.Fatalf("refused as %s, want %s", reasonOf(err), reason)
	}
}

func reasonOf(err error) string {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return "no identity.Error"
}
