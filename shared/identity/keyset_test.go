package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// scene is a verifier with one issuer whose key r signs.
type scene struct {
	*testing.T
	clock *clock
	p     *provider
	v     *Verifier
}

func newScene(t *testing.T) *scene {
	t.Helper()
	clock := newClock()
	p := newProvider(t, setOf(jwkOf("r", rsaKey().Public(), nil)))
	return &scene{T: t, clock: clock, p: p, v: newVerifier(t, clock.Now, p.Issuer())}
}

// good is a fresh token by key r.
func (s *scene) good() string { return token("RS256", "r", rsaKey(), goodClaims(s.clock.Now())) }

// random is a token with a kid that the issuer does not have.
func (s *scene) random(i int) string {
	return signed("HS256", []byte("x"), fmt.Sprintf(`{"alg":"RS256","kid":"random-%d"}`, i), goodClaims(s.clock.Now()).JSON())
}

func (s *scene) accepts(raw string) {
	s.Helper()
	accepts(s.T, s.v, raw, IDToken)
}

func (s *scene) refuses(raw, reason string) {
	s.Helper()
	refuses(s.T, s.v, raw, reason)
}

func (s *scene) fetched(want int64) {
	s.Helper()
	if got := s.p.Fetches.Load(); got != want {
		s.Fatalf("%d fetches so far, want %d", got, want)
	}
}

func TestAFreshSetIsNotFetchedAgain(t *testing.T) {
	s := newScene(t)
	for range 3 {
		s.accepts(s.good())
		s.clock.Advance(199 * time.Second)
	}
	s.fetched(1)
	s.clock.Advance(4 * time.Second) // 601 s
	s.accepts(s.good())
	s.fetched(2)
}

func TestAWithdrawnKeyDiesWithItsFreshness(t *testing.T) {
	s := newScene(t)
	s.accepts(s.good())
	s.p.Serve(setOf(jwkOf("new", p256Key().Public(), nil)))
	s.clock.Advance(10*time.Minute - time.Second)
	s.accepts(s.good())
	s.clock.Advance(time.Second)
	s.refuses(s.good(), ReasonKeyUnknown)
	s.p.Serve(setOf()) // all keys withdrawn: an answer, not a failure
	s.clock.Advance(10 * time.Minute)
	s.refuses(token("ES256", "new", p256Key(), goodClaims(s.clock.Now())), ReasonKeyUnknown)
	s.fetched(3)
}

func TestANewKeyIsFoundByOneRefresh(t *testing.T) {
	s := newScene(t)
	s.accepts(s.good())
	s.p.Serve(setOf(jwkOf("r", rsaKey().Public(), nil), jwkOf("new", p256Key().Public(), nil)))
	fresh := func() string { return token("ES256", "new", p256Key(), goodClaims(s.clock.Now())) }
	s.clock.Advance(29 * time.Second)
	s.refuses(fresh(), ReasonKeyUnknown) // asked for less than 30 s ago
	s.fetched(1)
	s.clock.Advance(time.Second)
	s.accepts(fresh())
	s.accepts(s.good())
	s.fetched(2)
}

func TestAFloodOfRandomKeyIDsCostsTwoFetchesAMinute(t *testing.T) {
	s := newScene(t)
	for i := range 1000 {
		s.refuses(s.random(i), ReasonKeyUnknown)
		s.clock.Advance(59 * time.Millisecond)
	}
	s.fetched(2)
	s.accepts(s.good())
}

func TestAnUnknownKeyIDIsNotAskedForTwiceAMinute(t *testing.T) {
	s := newScene(t)
	s.accepts(s.good())
	s.clock.Advance(31 * time.Second)
	s.refuses(s.random(1), ReasonKeyUnknown)
	s.fetched(2)
	s.clock.Advance(59 * time.Second)
	s.refuses(s.random(1), ReasonKeyUnknown)
	s.fetched(2)
	s.clock.Advance(2 * time.Second)
	s.refuses(s.random(1), ReasonKeyUnknown)
	s.fetched(3)
}

func TestATokenWithoutKeyIDNeverCausesARefresh(t *testing.T) {
	s := newScene(t)
	s.p.Serve(setOf(jwkOf("", rsaKey().Public(), nil), jwkOf("e", p256Key().Public(), nil)))
	for range 5 {
		s.refuses(signed("RS256", rsaKey(), `{"alg":"RS256"}`, goodClaims(s.clock.Now()).JSON()), ReasonKeyUnknown)
		s.clock.Advance(31 * time.Second)
	}
	s.fetched(1)
}

func TestRememberedKeyIDsAreBounded(t *testing.T) {
	clock := newClock()
	s := &keySet{now: clock.Now, missing: map[string]time.Time{}}
	for i := range 10 * maxMissing {
		s.remember(fmt.Sprint(i))
	}
	if len(s.missing) != maxMissing {
		t.Errorf("%d remembered, want %d", len(s.missing), maxMissing)
	}
	clock.Advance(missingFor)
	s.remember("later")
	if len(s.missing) != 1 {
		t.Errorf("%d remembered after a minute, want 1", len(s.missing))
	}
}

func TestABadSignatureUnderAKnownKeyNeverFetches(t *testing.T) {
	s := newScene(t)
	s.accepts(s.good())
	for range 50 {
		s.clock.Advance(10 * time.Second)
		s.refuses(token("RS256", "r", foreignRSA(), goodClaims(s.clock.Now())), ReasonSignatureInvalid)
	}
	s.fetched(1)
}

func TestTheLastGoodSetOutlivesAnOutageByAnHour(t *testing.T) {
	s := newScene(t)
	s.accepts(s.good())
	s.p.Fail()
	s.clock.Advance(10 * time.Minute)
	s.accepts(s.good())
	s.fetched(2)
	s.clock.Advance(29 * time.Second)
	s.accepts(s.good()) // limited: no third fetch
	s.refuses(s.random(1), ReasonKeysUnavailable)
	s.fetched(2)
	s.clock.Advance(49*time.Minute + 30*time.Second)
	s.accepts(s.good()) // 59:59
	s.fetched(3)
	s.clock.Advance(time.Second)
	s.refuses(s.good(), ReasonKeysUnavailable)
	s.p.Serve(setOf(jwkOf("r", rsaKey().Public(), nil)))
	s.clock.Advance(coldPause)
	s.accepts(s.good())
}

func TestAClockThatGoesBackMakesTheSetOld(t *testing.T) {
	s := newScene(t)
	s.accepts(s.good())
	s.clock.Advance(-time.Hour)
	s.accepts(s.good())
	s.fetched(2)
}

func TestAnIssuerThatWasNeverReachedIsUnavailable(t *testing.T) {
	s := newScene(t)
	s.p.Fail()
	for range 10 {
		_, err := s.v.Verify(context.Background(), s.good(), IDToken)
		var refusal *Error
		if !errors.Is(err, ErrUnavailable) || !errors.As(err, &refusal) || refusal.Proven || refusal.Cause == nil {
			t.Fatalf("error %v, want ErrUnavailable with its cause", err)
		}
	}
	s.fetched(1)
	s.p.Serve(setOf(jwkOf("r", rsaKey().Public(), nil)))
	s.clock.Advance(coldPause)
	s.accepts(s.good())
	s.fetched(2)
}

func TestManyAtOnceShareOneFetch(t *testing.T) {
	s := newScene(t)
	keySet := setOf(jwkOf("r", rsaKey().Public(), nil))
	s.p.Answer(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		_, _ = w.Write([]byte(keySet))
	})
	raw := s.good()
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			presented, reason := raw, ""
			if i%2 == 1 {
				presented, reason = s.random(i), ReasonKeyUnknown
			}
			if _, err := s.v.Verify(context.Background(), presented, IDToken); (err != nil) != (reason != "") {
				t.Errorf("got %v, want %q", err, reason)
			}
		})
	}
	wait.Wait()
	s.fetched(1)
}

func TestACallerWhoGivesUpDoesNotSpoilTheFetch(t *testing.T) {
	s := newScene(t)
	release := make(chan struct{})
	keySet := setOf(jwkOf("r", rsaKey().Public(), nil))
	s.p.Answer(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write([]byte(keySet))
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.v.Verify(ctx, s.good(), IDToken); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	close(release)
	s.accepts(s.good()) // joins the same fetch, or finds its keys
	s.fetched(1)
}

func TestWarmFetchesAllIssuersAndOnlyInforms(t *testing.T) {
	clock := newClock()
	up := newProvider(t, setOf(jwkOf("r", rsaKey().Public(), nil)))
	down := newProvider(t, "")
	down.Fail()
	other := down.Issuer()
	other.Issuer = "https://down.example"
	v := newVerifier(t, clock.Now, up.Issuer(), other)
	if err := v.Warm(context.Background()); err == nil {
		t.Error("no word of the issuer that is down")
	}
	accepts(t, v, token("RS256", "r", rsaKey(), goodClaims(clock.Now())), IDToken)
	_ = v.Warm(context.Background())
	if up.Fetches.Load() != 1 || down.Fetches.Load() != 1 {
		t.Errorf("fetches %d and %d, want one each", up.Fetches.Load(), down.Fetches.Load())
	}
}
