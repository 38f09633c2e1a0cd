package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dbsts/shared/config"
)

const (
	fetchTimeout = 2 * time.Second  // for a whole fetch: name, dial, handshake, body
	hardLimit    = time.Hour        // a set older than this is used no more, whatever the issuer's state
	refreshPause = 30 * time.Second // between two fetches for one issuer
	coldPause    = 5 * time.Second  // the same while there is no usable set, so that one lost packet costs no half minute
	missingFor   = time.Minute      // an unknown kid is not asked for again
	maxMissing   = 256              // remembered unknown kids
)

// The outcomes of a search for a key that is not found.
var (
	errKeyUnknown = errors.New("key unknown")
	errNoKeys     = errors.New("no usable key set")
)

// keySet holds the keys of one issuer. It is safe for concurrent use. A set is replaced as a whole, never merged, so
// that a withdrawn key is gone at the next fetch.
type keySet struct {
	fetch func(context.Context) (keys, time.Duration, error) // nil: the set is static
	now   func() time.Time                                   // wall clock: a frozen function's monotonic clock stands still

	mu      sync.Mutex
	keys    keys // the last good set
	loaded  time.Time
	fresh   time.Duration
	tried   time.Time            // when the last fetch began
	failure error                // of the last fetch; nil if it was good
	flight  chan struct{}        // closed when the fetch under way ends; nil if there is none
	missing map[string]time.Time // kids that a good fetch did not bring
}

// newKeySet prepares the keys of an issuer. It fetches nothing.
func newKeySet(issuer config.Issuer, now func() time.Time) (*keySet, error) {
	s := &keySet{now: now, missing: map[string]time.Time{}}
	if issuer.JWKS == "" {
		f, err := newFetcher(issuer)
		if err != nil {
			return nil, err
		}
		s.fetch = f.fetch
		return s, nil
	}
	var err error
	if s.keys, err = parseKeys([]byte(issuer.JWKS)); err != nil {
		return nil, err
	}
	if len(s.keys) == 0 {
		return nil, errors.New("jwks holds no key that may verify signatures")
	}
	return s, nil
}

// find returns the key for a kid; "" asks for the only key. It may start a fetch or wait for one, as long as ctx lasts.
// Errors: errKeyUnknown, or errNoKeys together with its cause when the issuer cannot be asked.
func (s *keySet) find(ctx context.Context, kid string) (key, error) {
	if s.fetch == nil {
		if k, ok := s.keys.pick(kid); ok {
			return k, nil
		}
		return key{}, errKeyUnknown
	}
	s.mu.Lock()
	k, known := s.keys.pick(kid)
	fresh := s.youngerThan(s.fresh)
	if fresh && known {
		s.mu.Unlock()
		return k, nil
	}
	if fresh && (kid == "" || s.isMissing(kid)) {
		s.mu.Unlock()
		return key{}, errKeyUnknown
	}
	flight := s.refresh()
	s.mu.Unlock()
	if err := await(ctx, flight); err != nil {
		return key{}, err
	}
	return s.settle(kid, flight != nil)
}

// settle looks again after a refresh, or after none was allowed. A set past its freshness still serves up to the hard
// limit; that is what carries us over an issuer's outage.
func (s *keySet) settle(kid string, asked bool) (key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.youngerThan(hardLimit) {
		return key{}, errors.Join(errNoKeys, s.failure)
	}
	if k, ok := s.keys.pick(kid); ok {
		return k, nil
	}
	if s.failure != nil {
		return key{}, errors.Join(errNoKeys, s.failure) // it may be a new key of an issuer that is down
	}
	if asked {
		s.remember(kid)
	}
	return key{}, errKeyUnknown
}

// warm fetches the set unless it is fresh.
func (s *keySet) warm(ctx context.Context) error {
	if s.fetch == nil {
		return nil
	}
	s.mu.Lock()
	if s.youngerThan(s.fresh) {
		s.mu.Unlock()
		return nil
	}
	flight := s.refresh()
	s.mu.Unlock()
	if err := await(ctx, flight); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// await waits for the end of a fetch; nil is none. The context bounds the wait, not the fetch: others wait for it too.
func await(ctx context.Context, flight <-chan struct{}) error {
	if flight == nil {
		return nil
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return errors.Join(errNoKeys, fmt.Errorf("wait for keys: %w", ctx.Err()))
	}
}

// refresh joins the fetch under way, or starts one unless the last began too recently; then it returns nil.
// The caller holds mu.
func (s *keySet) refresh() <-chan struct{} {
	if s.flight != nil {
		return s.flight
	}
	pause := coldPause
	if s.youngerThan(hardLimit) {
		pause = refreshPause
	}
	now := s.now()
	if since := now.Sub(s.tried); !s.tried.IsZero() && since >= 0 && since < pause {
		return nil
	}
	s.tried = now
	s.flight = make(chan struct{})
	go s.load()
	return s.flight
}

// load runs one fetch and lets those who wait go on. It has its own time limit, so it ends and a later one can begin.
func (s *keySet) load() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, fresh, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure = err; err == nil {
		// The set is as old as the question: it may have been written just before it was asked for.
		s.keys, s.fresh, s.loaded = set, fresh, s.tried
	}
	close(s.flight)
	s.flight = nil
}

// youngerThan tells whether a set is there and was loaded less than limit ago. A clock that went back makes it old, not
// young. The caller holds mu.
func (s *keySet) youngerThan(limit time.Duration) bool {
	age := s.now().Sub(s.loaded)
	return s.keys != nil && age >= 0 && age < limit
}

// isMissing tells whether a good fetch less than a minute ago did not bring this kid. The caller holds mu.
func (s *keySet) isMissing(kid string) bool {
	since, there := s.missing[kid]
	age := s.now().Sub(since)
	return there && age >= 0 && age < missingFor
}

// remember notes an unknown kid, as long as there is room: the pause between fetches holds without it. The caller
// holds mu.
func (s *keySet) remember(kid string) {
	now := s.now()
	for other, since := range s.missing {
		if age := now.Sub(since); age < 0 || age >= missingFor {
			delete(s.missing, other)
		}
	}
	if kid != "" && len(s.missing) < maxMissing {
		s.missing[kid] = now
	}
}
