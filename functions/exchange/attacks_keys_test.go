package main

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

// randomKid is a token that names a key which does not exist. It is cheap to make: nobody gets as far as its signature.
func randomKid(s *scene, i int) string {
	header := fmt.Sprintf(`{"alg":"RS256","kid":"random-%d"}`, i)
	return identitytest.Encode(header) + "." + identitytest.Encode(s.claims(nil).JSON()) + ".AAAA"
}

// flood: 1,000 tokens in a minute, each with a kid of its own.
func (a *attacks) flood(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	for i := range 1000 {
		s.refuses(t, wish(randomKid(s, i)), unproven(identity.ReasonKeyUnknown))
		s.clock.Advance(59 * time.Millisecond)
	}
	if n := p.Fetches.Load(); n > 2 {
		t.Errorf("the issuer saw %d requests in a minute, want at most 2", n)
	}
	mustFetch(t, p, 0, func() { s.accepts(t, wish(token(s.claims(nil)))) })

	// At once, and on a function that knows no keys yet.
	cold := a.scene(t, rulesFor(anybody), p.Issuer())
	mustFetch(t, p, 1, func() {
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				a.tried.Add(1)
				if got := cold.post(t, wish(randomKid(cold, i))); got.Reason == badToken.Reason {
					a.refused.Add(1)
				} else {
					t.Errorf("answer %d %s", got.Status, got.whole.Body)
				}
			})
		}
		group.Wait()
	})
	if left := cold.ledger.since(touched{}); left.Reads+left.Asked+len(left.Refused) != 0 {
		t.Errorf("left in the database: %+v", left)
	}
}

// dead are key servers that answer for as long as they are listened to.
var dead = map[string]http.HandlerFunc{
	"hung": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"dripping": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	},
	"endless": func(w http.ResponseWriter, r *http.Request) {
		for chunk := bytes.Repeat([]byte(" "), 1<<16); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	},
}

const (
	patience = 2 * time.Second        // what a fetch of keys may take
	slack    = 500 * time.Millisecond // for a busy machine
	prompt   = 200 * time.Millisecond // an exchange that waits for nobody
)

// deadKeyServers: one issuer's key server hangs. Its own callers wait two seconds at most, those who come later not at
// all, and another issuer's callers never.
func (a *attacks) deadKeyServers(t *testing.T) {
	for name, handler := range dead {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hanging, well := a.provider(t), a.provider(t, ours())
			hanging.Answer(handler)
			other := hanging.Issuer()
			other.Issuer = "https://hanging.example"
			s := a.scene(t, rulesFor(anybody, identitytest.Issuer, other.Issuer), well.Issuer(), other)
			good, stuck := wish(token(s.claims(nil))), wish(token(s.claims(object{"iss": other.Issuer})))
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					a.tried.Add(1)
					took := timed(func() {
						if got := s.post(t, stuck); got.Status == unavailable.Status && got.whole.Headers["Retry-After"] != "" {
							a.refused.Add(1)
						} else {
							t.Errorf("answer %d %s", got.Status, got.whole.Body)
						}
					})
					if took > patience+slack {
						t.Errorf("waited %v for a key server that %s", took, name)
					}
				})
			}
			for hanging.Fetches.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			for range 10 {
				if took := timed(func() { s.accepts(t, good) }); took > prompt {
					t.Errorf("another issuer's exchange took %v", took)
				}
			}
			group.Wait()
			want := refusal{answer: unavailable, logged: identity.ReasonKeysUnavailable}
			if took := timed(func() { s.refuses(t, stuck, want) }); took > prompt {
				t.Errorf("a later caller waited %v", took)
			}
			if n := hanging.Fetches.Load(); n != 1 {
				t.Errorf("%d requests, want 1: all wait for the same one", n)
			}
			if got := s.ledger.since(touched{}); len(got.Refused) != 0 || got.Minted != 10 {
				t.Errorf("left in the database: %+v, want the ten mints of the other issuer", got)
			}
		})
	}
}

// deadRefresh: the key server hung up after its keys were had. An unknown kid asks for them again; who has a known kid
// does not wait for that.
func (a *attacks) deadRefresh(t *testing.T) {
	t.Run("refresh of keys that are known", func(t *testing.T) {
		t.Parallel()
		p := a.provider(t, ours())
		s := a.scene(t, rulesFor(anybody), p.Issuer())
		good := wish(token(s.claims(nil)))
		s.accepts(t, good)
		p.Answer(dead["hung"])
		s.clock.Advance(31 * time.Second)
		waited := make(chan time.Duration)
		go func() {
			a.tried.Add(1)
			waited <- timed(func() {
				if got := s.post(t, wish(randomKid(s, 1))); got.Status == unavailable.Status {
					a.refused.Add(1)
				}
			})
		}()
		for p.Fetches.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		for range 10 {
			if took := timed(func() { s.accepts(t, good) }); took > prompt {
				t.Errorf("an exchange with a known key took %v", took)
			}
		}
		if took := <-waited; took > patience+slack {
			t.Errorf("waited %v", took)
		}
	})
}

func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

// withdrawn: the issuer has taken a key out of its set. Ten minutes later, at most, it is worth nothing.
func (a *attacks) withdrawn(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	s.accepts(t, wish(token(s.claims(nil))))
	p.Serve(identitytest.Set(identitytest.JWK("new", identitytest.P256Key().Public(), nil)))
	s.clock.Advance(10 * time.Minute)
	mustFetch(t, p, 1, func() { s.refuses(t, wish(token(s.claims(nil))), unproven(identity.ReasonKeyUnknown)) })
	s.accepts(t, wish(identitytest.Token("ES256", "new", identitytest.P256Key(), s.claims(nil))))
	p.Fail() // nor does it come back when the issuer is down
	s.clock.Advance(11 * time.Minute)
	mustFetch(t, p, 1, func() {
		s.refuses(t, wish(token(s.claims(nil))), refusal{answer: unavailable, logged: identity.ReasonKeysUnavailable})
	})
}
