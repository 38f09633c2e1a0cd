package identity

import (
	"context"
	"errors"
	"testing"

	"dbsts/shared/identity/identitytest"
)

func TestAttacksAreRefused(t *testing.T) {
	clock := newClock()
	p, issuer := identitytest.Attacked(t)
	attacks := identitytest.Attacks(clock.Now())
	if len(attacks) < 100 {
		t.Fatalf("only %d attacks", len(attacks))
	}
	for _, attack := range attacks {
		t.Run(attack.Name, func(t *testing.T) {
			v := newVerifier(t, clock.Now, issuer)
			before := p.Fetches.Load()
			mustRefuse(t, v, attack)
			if got := p.Fetches.Load() - before; got != attack.Fetches {
				t.Errorf("%d fetches by a cold verifier, want %d", got, attack.Fetches)
			}
			if err := v.Warm(context.Background()); err != nil {
				t.Fatal(err)
			}
			before = p.Fetches.Load()
			mustRefuse(t, v, attack)
			if got := p.Fetches.Load() - before; got != 0 {
				t.Errorf("%d fetches by a warm verifier", got)
			}
		})
	}
}

func mustRefuse(t *testing.T, v *Verifier, a identitytest.Attack) {
	t.Helper()
	kind := map[string]Kind{"": IDToken, "id_token": IDToken, "jwt": JWT, "access_token": AccessToken}[a.Kind]
	got, err := v.Verify(context.Background(), a.Raw, kind)
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("accepted as %q (error %v)", got.Identity, err)
	}
	if refusal.Reason != a.Reason || refusal.Proven != a.Proven {
		t.Errorf("refused as %s, proven %v; want %s, %v", refusal.Reason, refusal.Proven, a.Reason, a.Proven)
	}
	if !refusal.Proven && (refusal.Token.Subject != "" || refusal.Token.Claims != nil || refusal.Token.Key != "") {
		t.Errorf("unproven claims came out: %+v", refusal.Token)
	}
	if refusal.Proven && refusal.Token.Issuer != ourIssuer {
		t.Errorf("a proven refusal cannot be put on record: %+v", refusal.Token)
	}
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("error is %v, want ErrInvalid", err)
	}
}

func TestATokenIsOfAKindThatWeKnow(t *testing.T) {
	clock := newClock()
	v := static(t, clock, nil)
	for _, kind := range []Kind{0, 9} {
		if _, err := v.Verify(context.Background(), token("RS256", "r", rsaKey(), goodClaims(clock.Now())), kind); reasonOf(err) != ReasonWrongTokenKind {
			t.Errorf("kind %d: %v (%s)", kind, err, reasonOf(err))
		}
	}
}
