package e2e_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dbsts/localstack/gateway"
	"dbsts/shared/config"
	"dbsts/tests/e2e"
)

// patience is how soon a caller hears that something behind the service is down.
const patience = 6 * time.Second

// unavailable sends a good token and wants 503 in time, and nothing minted.
func (d *stack) unavailable(t *testing.T, what, token string) {
	t.Helper()
	d.mustBeUnavailable(t, what, "/token", exchangeForm(token))
}

func (d *stack) mustBeUnavailable(t *testing.T, what, path string, form url.Values) {
	t.Helper()
	a, err := d.send(t.Context(), path, form)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if a.status != http.StatusServiceUnavailable || a.Error != "temporarily_unavailable" || a.Reason != "unavailable" || h(a, "Retry-After") != "5" {
		t.Errorf("%s: got %d %s, %v", what, a.status, a.body, a.header)
	}
	if a.took > patience {
		t.Errorf("%s: it took %v", what, a.took)
	}
	t.Logf("%s: %d after %v", what, a.status, a.took.Round(10*time.Millisecond))
}

// recovers wants the same processes to serve again before long.
func (d *stack) recovers(t *testing.T, what, token string, processes []int) {
	t.Helper()
	begun := time.Now()
	eventually(t, 15*time.Second, what+": an exchange works again", func() bool { return d.exchange(t, token).status == http.StatusOK })
	if now := d.processes(t, "ExchangeFunction"); !slices.Equal(now, processes) || len(now) == 0 {
		t.Errorf("%s: processes %v became %v", what, processes, now)
	}
	t.Logf("%s: serves again %v after", what, time.Since(begun).Round(10*time.Millisecond))
	e2e.Invariants(t, d.admin)
}

// nothingMinted wants no grant beyond those counted before.
func (s *site) nothingMinted(t *testing.T, before int) {
	t.Helper()
	if made := s.grants(t) - before; made != 0 {
		t.Errorf("%d grants were made", made)
	}
}

// crash ends the server as a crash would. What it returns starts the server again; the test's end does it otherwise.
func (s *site) crash(t *testing.T) (restart func()) {
	t.Helper()
	must(t, s.Kill())
	restart = sync.OnceFunc(func() {
		must(t, s.Restart(context.WithoutCancel(t.Context())))
		s.admin.Reset() // its connections are dead
	})
	t.Cleanup(restart)
	return restart
}

func TestAnIssuerThatIsDownStopsColdFunctionsOnly(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		warm, cold, hung := s.fresh(t, nil), s.fresh(t, nil), s.fresh(t, nil)
		if a := warm.exchange(t, token); a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		before := s.grants(t)
		t.Cleanup(func() { must(t, s.door.open()) })

		must(t, s.door.shut())
		cold.unavailable(t, "issuer down, cold", token)
		must(t, s.door.hang())
		hung.unavailable(t, "issuer hanging, cold", token)
		hung.unavailable(t, "issuer hanging, once more", token)
		s.nothingMinted(t, before)
		for range 2 {
			if a := warm.exchange(t, token); a.status != http.StatusOK || a.took > patience {
				t.Errorf("issuer hanging, keys in memory: got %d %s after %v", a.status, a.body, a.took)
			}
		}
		for _, kid := range []string{"unknown", ""} { // a key that nobody knows is asked for, and cannot be had
			forged := forgedHeader(token, kid)
			if a := warm.exchange(t, forged); a.status == http.StatusOK || a.took > patience {
				t.Errorf("issuer hanging, key %q: got %d %s after %v", kid, a.status, a.body, a.took)
			}
		}
		processes := cold.processes(t, "ExchangeFunction")
		must(t, s.door.open())
		cold.recovers(t, "issuer back", token, processes)
	})
}

func TestADatabaseThatIsDownMeans503AndNothingMinted(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		warm, cold := s.fresh(t, nil), s.fresh(t, nil)
		kept := warm.exchange(t, token)
		before := s.grants(t)
		processes := warm.processes(t, "ExchangeFunction")
		warm.revoke(t, warm.exchange(t, token).AccessToken) // so that this function is warm too
		before++

		restart := s.crash(t)
		warm.unavailable(t, "database down, warm", token)
		warm.unavailable(t, "database down, once more", token)
		cold.unavailable(t, "database down, cold", token)
		warm.mustBeUnavailable(t, "revocation, database down", "/revoke", url.Values{"token": {kept.AccessToken}})
		if report, err := warm.tick(t.Context()); err == nil {
			t.Errorf("sweep, database down: got %+v", report)
		}
		restart()
		s.nothingMinted(t, before)
		warm.recovers(t, "database back", token, processes)
		warm.revoke(t, kept.AccessToken)
		if got, err := s.psql(t, kept.DSN, kept.AccessToken, "SELECT 1"); err == nil {
			t.Errorf("revoked: got %q", got)
		}
		warm.sweep(t)
		e2e.Settled(t, s.admin)
	})
}

func TestADatabaseThatHangsMeans503AndNobodyHoldsALogin(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		idle, busy, cold := s.fresh(t, nil), s.fresh(t, nil), s.fresh(t, nil)
		kept := idle.exchange(t, token)
		idle.revoke(t, idle.exchange(t, token).AccessToken)
		processes := idle.processes(t, "ExchangeFunction")
		time.Sleep(1100 * time.Millisecond) // a connection idle for a second is pinged before it is believed in
		if a := busy.exchange(t, token); a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		before := s.grants(t)
		must(t, s.Pause())
		resume := sync.OnceFunc(func() { must(t, s.Resume()) })
		t.Cleanup(resume)
		var group sync.WaitGroup
		group.Go(func() { busy.unavailable(t, "database hanging, connection in use", token) })
		group.Go(func() { idle.unavailable(t, "database hanging, connection idle", token) })
		group.Go(func() { cold.unavailable(t, "database hanging, cold", token) })
		group.Go(func() {
			idle.mustBeUnavailable(t, "revocation, database hanging", "/revoke", url.Values{"token": {kept.AccessToken}})
		})
		group.Wait()
		resume()

		// What had been sent when the server froze, it may still do: one login of which nobody has the password.
		idle.recovers(t, "database awake", token, processes)
		if made := s.grants(t) - before - 1; made < 0 || made > 1 {
			t.Errorf("%d grants were made of three refused exchanges", made)
		}
		idle.revoke(t, kept.AccessToken)
		s.expire(t)
		idle.sweep(t)
		e2e.Settled(t, s.admin)
	})
}

func TestAConnectionThatDiedDuringAFreezeCostsAtMostOneTry(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		d := s.fresh(t, nil)
		token := s.token(t, person("engineers"))
		for _, frozen := range []time.Duration{0, 1200 * time.Millisecond} {
			if a := d.exchange(t, token); a.status != http.StatusOK {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			processes := d.processes(t, "ExchangeFunction")
			d.functions["ExchangeFunction"].Freeze()
			killed := one[int](t, s, "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'dbsts_exchange'")
			if killed == 0 {
				t.Error("there was no connection to kill")
			}
			time.Sleep(frozen)
			first := d.exchange(t, token)
			if first.status != http.StatusOK && first.status != http.StatusServiceUnavailable || first.took > patience {
				t.Errorf("after the thaw: got %d %s after %v", first.status, first.body, first.took)
			}
			if second := d.exchange(t, token); second.status != http.StatusOK {
				t.Errorf("the next: got %d %s", second.status, second.body)
			}
			if now := d.processes(t, "ExchangeFunction"); !slices.Equal(now, processes) {
				t.Errorf("processes %v became %v", processes, now)
			}
			t.Logf("frozen for %v: %d after %v", frozen, first.status, first.took.Round(time.Millisecond))
		}
		e2e.Invariants(t, s.admin)
	})
}

func TestAServerThatDoesNotProveItselfGetsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		before := s.grants(t)
		other, err := gateway.NewCertificate()
		must(t, err)
		if block, _ := pem.Decode(other.PEM); block == nil {
			t.Fatal("no certificate")
		}
		file := filepath.Join(t.TempDir(), "other.pem")
		must(t, os.WriteFile(file, other.PEM, 0o600))
		for what, edit := range map[string]func(*config.Config){
			"another CA":   func(c *config.Config) { c.Servers[0].TLS.CAFile = file },
			"another name": func(c *config.Config) { c.Servers[0].TLS.ServerName = "db.elsewhere.test" },
		} {
			d := s.fresh(t, edit)
			d.unavailable(t, what, token)
			if log := strings.Join(d.log.since(0), ""); !strings.Contains(log, "x509: certificate") {
				t.Errorf("%s: the log does not say why: %s", what, log)
			}
		}
		s.nothingMinted(t, before)
	})
}

func TestAPasswordThatChangedNeedsNoRestart(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		before := s.grants(t)
		file := filepath.Join(t.TempDir(), "password")
		must(t, os.WriteFile(file, []byte("wrong\n"), 0o600))
		d := s.fresh(t, func(c *config.Config) { c.Servers[0].Logins.Exchange.PasswordFile = file })
		d.unavailable(t, "wrong password", token)
		s.nothingMinted(t, before)
		if log := strings.Join(d.log.since(0), ""); !strings.Contains(log, "28P01") {
			t.Errorf("the log does not say why: %s", log)
		}
		right, err := os.ReadFile(s.Config.Servers[0].Logins.Exchange.PasswordFile)
		must(t, err)
		must(t, os.WriteFile(file, right, 0o600))
		d.recovers(t, "right password", token, d.processes(t, "ExchangeFunction"))
	})
}

func TestFunctionsStartedInTheDarkServeWhenTheLightsGoOn(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		token := s.token(t, person("engineers"))
		kept := s.stack.login(t, "analysts")
		before := s.grants(t)
		t.Cleanup(func() { must(t, s.door.open()) })
		d := s.fresh(t, nil)
		must(t, s.door.shut())
		restart := s.crash(t)
		d.unavailable(t, "issuer and database down", token)
		d.mustBeUnavailable(t, "revocation, database down", "/revoke", url.Values{"token": {kept.AccessToken}})
		if _, err := d.tick(t.Context()); err == nil {
			t.Error("the sweep says that it worked")
		}
		running := map[string][]int{}
		for _, id := range []string{"ExchangeFunction", "RevokeFunction", "SweepFunction"} {
			running[id] = d.processes(t, id)
		}
		restart()
		must(t, s.door.open())
		s.nothingMinted(t, before)
		d.recovers(t, "issuer and database back", token, running["ExchangeFunction"])
		d.revoke(t, kept.AccessToken)
		d.sweep(t)
		for id, processes := range running {
			if now := d.processes(t, id); !slices.Equal(now, processes) || len(now) != 1 {
				t.Errorf("%s: processes %v became %v", id, processes, now)
			}
		}
		e2e.Settled(t, s.admin)
	})
}
