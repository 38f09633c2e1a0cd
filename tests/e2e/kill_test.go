package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dbsts/localstack/runtime"
	"dbsts/tests/e2e"
)

// chance gives the random numbers of one test. A failure tells the seed; DBSTS_TEST_SEED=… plays it again, as far as
// clocks and schedulers let it.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("DBSTS_TEST_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("DBSTS_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be played again, so not secret
}

// within gives a random time.
func within(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(limit)))
}

func TestKillingExchangesLeavesNoLoginWithoutItsGrant(t *testing.T) {
	const callers, identities = 8, 8 // of each caller: one alone would soon be over its quota
	duration := 2 * time.Second
	if long() {
		duration = 15 * time.Second
	}
	onEach(t, func(t *testing.T, s *site) {
		random := chance(t)
		d := s.fresh(t, nil)
		before := s.grants(t)
		tokens := make([]string, callers*identities)
		for n := range tokens {
			tokens[n] = s.token(t, person("engineers"))
		}
		var group sync.WaitGroup
		var answered, failed atomic.Int64
		end := time.Now().Add(duration)
		held := make([]answer, callers)
		for n := range callers {
			group.Go(func() {
				for round := 0; time.Now().Before(end); round++ {
					a, err := d.send(t.Context(), "/token", exchangeForm(tokens[n*identities+round%identities]))
					switch {
					case err == nil && a.status == http.StatusOK:
						answered.Add(1)
						held[n] = a
					case err == nil && a.status == http.StatusInternalServerError:
						failed.Add(1) // the gateway's word for a function that died
					default:
						t.Errorf("got %d %s, %v", a.status, a.body, err)
					}
				}
			})
		}
		kills := 0
		for time.Now().Before(end) {
			time.Sleep(10*time.Millisecond + within(random, 120*time.Millisecond))
			if running := d.processes(t, "ExchangeFunction"); len(running) > 0 {
				_ = syscall.Kill(running[random.IntN(len(running))], syscall.SIGKILL) // it may just have gone
				kills++
			}
			e2e.Invariants(t, s.admin)
		}
		group.Wait()
		made := s.grants(t) - before
		t.Logf("%d exchanges answered, %d failed, %d kills, %d grants", answered.Load(), failed.Load(), kills, made)
		if made < int(answered.Load()) || answered.Load() == 0 || kills == 0 {
			t.Errorf("%d grants for %d answers", made, answered.Load())
		}
		for _, a := range held {
			if a.GrantID == "" {
				continue
			}
			if who, err := s.psql(t, a.DSN, a.AccessToken, "SELECT session_user"); err != nil || who != a.Username {
				t.Errorf("a login that was answered: got %q, %v", who, err)
			}
		}
		s.expire(t)
		s.stack.sweep(t)
		e2e.Settled(t, s.admin)
	})
}

func TestKillingSweepsLosesNoLogin(t *testing.T) {
	const due = 60
	rounds := 3
	if long() {
		rounds = 12
	}
	onEach(t, func(t *testing.T, s *site) {
		random := chance(t)
		for round := range rounds {
			issued := make([]answer, due)
			var group sync.WaitGroup
			token := [4]string{}
			for n := range token {
				token[n] = s.token(t, person("engineers"))
			}
			for n := range token {
				group.Go(func() {
					for i := n; i < due; i += len(token) {
						var err error
						issued[i], err = s.stack.send(t.Context(), "/token", exchangeForm(token[n]))
						if err != nil || issued[i].status != http.StatusOK {
							t.Errorf("got %d %s, %v", issued[i].status, issued[i].body, err)
						}
					}
				})
			}
			group.Wait()
			for _, a := range issued[:3] {
				s.Connect(t, a.Username, a.AccessToken) // some have sessions to be killed
			}
			s.expire(t)

			d := s.fresh(t, nil)
			if round%2 == 0 {
				d = s.stack // warm: the first steps come at once
			}
			killed := s.killedSweeps(t, d, random, issued)
			s.releaseLeases(t)
			dropped := s.stack.sweep(t)
			e2e.Settled(t, s.admin)
			for _, a := range issued {
				if steps := one[string](t, s, `SELECT string_agg(event, ' ' ORDER BY id) FROM dbsts.audit
					WHERE grant_id = $1 AND event <> 'kill'`, a.GrantID); steps != "mint end block drop" {
					t.Errorf("grant %s went through %s", a.GrantID, steps)
				}
			}
			t.Logf("round %d: killed after %s; the last sweep dropped %d", round, strings.Join(killed, "; "), dropped)
		}
	})
}

// killedSweeps starts one to three sweeps and kills each with SIGKILL: at a random time of the second or so that it takes,
// or where it has just committed some of its steps and begins the next. It tells how far they came with those grants.
func (s *site) killedSweeps(t *testing.T, d *stack, random *rand.Rand, due []answer) (killed []string) {
	t.Helper()
	ids := make([]string, 0, len(due))
	for _, a := range due {
		ids = append(ids, a.GrantID)
	}
	const steps = "SELECT count(*) FROM dbsts.audit WHERE event IN ('end', 'block', 'drop')"
	for range 1 + random.IntN(3) {
		kill := d.functions["SweepFunction"].Close
		var group sync.WaitGroup
		ctx, over := context.WithCancel(t.Context())
		if random.IntN(2) == 0 {
			timer := time.AfterFunc(within(random, 1300*time.Millisecond), kill)
			context.AfterFunc(ctx, func() { timer.Stop() })
		} else {
			goal, delay := one[int](t, s, steps)+1+random.IntN(175), within(random, 15*time.Millisecond)
			group.Go(func() {
				for n := 0; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
					if err := s.admin.QueryRow(ctx, steps).Scan(&n); err == nil && n >= goal {
						time.Sleep(delay)
						kill()
						return
					}
				}
			})
		}
		if _, err := d.tick(t.Context()); err != nil && !errors.Is(err, runtime.ErrExited) {
			t.Errorf("a killed sweep: %v", err)
		}
		over()
		group.Wait()
		e2e.Invariants(t, s.admin)
		killed = append(killed, one[string](t, s, `SELECT format('%s ends, %s blocks, %s drops', count(*) FILTER (WHERE event = 'end'),
			count(*) FILTER (WHERE event = 'block'), count(*) FILTER (WHERE event = 'drop')) FROM dbsts.audit WHERE grant_id = ANY ($1)`, ids))
		if random.IntN(2) == 0 {
			s.releaseLeases(t) // else the next one finds what is still leased
		}
	}
	return killed
}

// forgedHeader is the token with another key id: its signature covers what it no longer says.
func forgedHeader(token, kid string) string {
	header := fmt.Sprintf(`{"alg":"RS256","typ":"JWT","kid":%q}`, kid)
	if kid == "" {
		header = `{"alg":"RS256","typ":"JWT"}`
	}
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}
