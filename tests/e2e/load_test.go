package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dbsts/tests/e2e"
)

// clients is how many exchanges run at once; template.yaml reserves 20.
const clients = 16

func TestManyExchangesAndSweepsAtOnceDisturbNobody(t *testing.T) {
	rounds := 6
	if long() {
		rounds = 25
	}
	onEach(t, func(t *testing.T, s *site) {
		for name, scopes := range map[string][]string{
			"one role":         {"app_read"},
			"overlapping sets": {"app_read", "app_write", "app_read app_write", "app_write app_read"},
		} {
			tokens := make([]string, clients)
			for n := range tokens {
				tokens[n] = s.token(t, person("engineers"))
			}
			var group sync.WaitGroup
			sweeps, stop := sweeping(t, s)
			begun := time.Now()
			for n, token := range tokens {
				group.Go(func() {
					for round := range rounds {
						form := exchangeForm(token, "scope", scopes[(n+round)%len(scopes)])
						if a, err := s.stack.send(t.Context(), "/token", form); err != nil || a.status != http.StatusOK {
							t.Errorf("%s: got %d %s, %v", name, a.status, a.body, err)
							return
						}
						if n == 0 { // some ends fall into the midst of others' mints
							s.expire(t)
						}
					}
				})
			}
			group.Wait()
			took := time.Since(begun)
			stop()
			s.expire(t)
			s.stack.sweep(t)
			e2e.Settled(t, s.admin)
			t.Logf("%s: %d exchanges of %d clients in %v (cold starts included) beside %d sweeps",
				name, rounds*clients, clients, took.Round(time.Millisecond), *sweeps)
		}
	})
}

// sweeping sweeps again and again until it is told to stop, and looks at the invariants meanwhile.
func sweeping(t *testing.T, s *site) (sweeps *int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	sweeps = new(int)
	group.Go(func() {
		for ; ctx.Err() == nil; *sweeps++ {
			if _, err := s.stack.tick(t.Context()); err != nil {
				t.Errorf("sweep: %v", err)
			}
		}
	})
	group.Go(func() {
		for ctx.Err() == nil {
			e2e.Invariants(t, s.admin)
			time.Sleep(200 * time.Millisecond)
		}
	})
	return sweeps, func() { cancel(); group.Wait() }
}

// How long things take on this machine, whatever else it does: told, not judged. `make bench` has the ratios.
func TestHowLongTheFrontDoorTakes(t *testing.T) {
	const exchanges = 40
	onEach(t, func(t *testing.T, s *site) {
		cold := s.fresh(t, nil)
		first := cold.login(t, "analysts").took
		var times, ends []time.Duration
		var last answer
		for n := range exchanges {
			last = cold.login(t, "engineers")
			times = append(times, last.took)
			if n%20 == 0 {
				ends = append(ends, cold.revoke(t, last.AccessToken).took)
			}
		}
		slices.Sort(times)
		t.Logf("exchange over HTTPS, one client: cold %v, p50 %v, p95 %v; revocation without a session, cold %v, warm %v", first.Round(time.Millisecond),
			times[exchanges/2].Round(100*time.Microsecond), times[exchanges*95/100].Round(100*time.Microsecond),
			ends[0].Round(time.Millisecond), ends[1].Round(time.Millisecond))
		s.expire(t)
		begun := time.Now()
		dropped := s.stack.sweep(t)
		t.Logf("a sweep of %d logins: %v", dropped, time.Since(begun).Round(time.Millisecond))
		e2e.Settled(t, s.admin)
	})
}

// The search for what is broken is worth nothing if it finds nothing.
func TestTheInvariantsSeeWhatIsBroken(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "analysts")
		e2e.Invariants(t, s.admin)
		ended := s.stack.login(t, "dba")
		s.stack.revoke(t, ended.AccessToken)
		s.stack.sweep(t)
		e2e.Settled(t, s.admin)
		for damage, want := range map[string]string{
			"ALTER ROLE {} NOLOGIN":                                    "has no login that works",
			"ALTER ROLE {} VALID UNTIL 'infinity'":                     "has no login that works",
			"GRANT app_write TO {}":                                    "has roles",
			"DELETE FROM pg_auth_members WHERE member = '{}'::regrole": "0 memberships",
			"DROP ROLE {}":                                             "has no login that works",
			"UPDATE dbsts.grants SET state = 'revoked'":                "is ended, and its login lives",
			"UPDATE dbsts.grants SET state = 'quarantined'":            "can log in",
			"UPDATE dbsts.grants SET state = 'revoking'":               "is revoking by 0 audit rows",
			"DELETE FROM dbsts.grants WHERE state = 'active'":          "has no grant that is not ended",
			"DELETE FROM dbsts.grants WHERE state = 'revoked'":         "is in the audit trail only",
			"DELETE FROM dbsts.audit WHERE event = 'mint'":             "was minted 0 times",
			"DELETE FROM dbsts.audit WHERE event = 'end'":              "is revoked by 0 audit rows",
			"DELETE FROM dbsts.audit WHERE event = 'drop'":             "is ended by 0 audit rows",
			"CREATE ROLE dbsts_aaaaaaaaaaaaaaaaaaaaaaaaaa":             "has no grant that is not ended",
			"UPDATE dbsts.grants SET expires_at = clock_timestamp()":   "is due and active",
			"INSERT INTO dbsts_api.claims SELECT login, 'c', 'v', clock_timestamp() FROM dbsts.grants WHERE state = 'revoked' LIMIT 1": "have outlived it",
		} {
			tx, err := s.admin.Begin(t.Context())
			must(t, err)
			_, err = tx.Exec(t.Context(), strings.ReplaceAll(damage, "{}", a.Username))
			must(t, err)
			found, err := e2e.Violations(t.Context(), tx, true)
			must(t, err)
			if !strings.Contains(strings.Join(found, "\n"), want) {
				t.Errorf("%s: found %q, want %q", damage, found, want)
			}
			must(t, tx.Rollback(t.Context()))
		}
		e2e.Settled(t, s.admin)
	})
}
