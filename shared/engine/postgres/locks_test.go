package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"dbsts/shared/engine"
	"dbsts/shared/engine/enginetest"
)

// hurried runs a whole sweep, postponed grants included, and wants it to be over in time.
func (s *server) hurried(t *testing.T) {
	t.Helper()
	s.must(t, "UPDATE dbsts.grants SET next_attempt_at = now() WHERE state IN ('revoking', 'quarantined')")
	begin := time.Now()
	if report := s.sweep(t, s.Ender()); report.Error != "" {
		t.Errorf("the sweep: %s", report.Error)
	}
	if took := time.Since(begin); took > 12*time.Second { // a few time-outs of a second, and two proofs
		t.Errorf("the sweep took %s", took)
	}
}

// became wants a grant to be in a state, with what stopped the last attempt.
func (s *server) became(t *testing.T, c engine.Credential, state, lastError string) {
	t.Helper()
	row, err := s.Row(t.Context(), c.Grant)
	if err != nil || row.State != state || row.LastError != lastError {
		t.Errorf("the grant is %+v, %v, want %s %s", row, err, state, lastError)
	}
}

// holding is a session of a login that leaves a transaction open.
func (s *server) holding(t *testing.T, user, password string, statements ...string) enginetest.Session {
	t.Helper()
	session, err := s.Login(t.Context(), user, password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	for _, statement := range statements {
		if err := session.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return session
}

// A login can lock its own row, with a session or, where prepared transactions are allowed, without one. The first dies
// with its session. The second stays until somebody ends the transaction: stripped of everything, and no other waits.
func TestALoginThatLocksItsOwnRowIsCutAllTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.hurried(t) // what other tests have left
		idle, idleSet, prepared, clean := s.mint(t, "app_read"), s.mint(t, "app_owner"), s.mint(t, "app_read"), s.mint(t, "app_read")
		s.holding(t, idle.Login, idle.Password.Reveal(), "BEGIN", "ALTER ROLE CURRENT_USER PASSWORD 'x'")
		s.holding(t, idleSet.Login, idleSet.Password.Reveal(), "BEGIN", "ALTER ROLE SESSION_USER PASSWORD 'x'", "SET ROLE app_owner")
		s.holding(t, prepared.Login, prepared.Password.Reveal(),
			"BEGIN", "ALTER ROLE CURRENT_USER PASSWORD 'x'", "PREPARE TRANSACTION 'own row'").Close()
		s.expire(t, idle, idleSet, prepared, clean)
		s.hurried(t)
		for _, c := range []engine.Credential{idle, idleSet, clean} {
			s.became(t, c, "revoked", "")
		}
		s.became(t, prepared, "quarantined", "prepared")
		if _, err := s.Login(t.Context(), prepared.Login, prepared.Password.Reveal()); err == nil {
			t.Error("the login with a prepared transaction can still log in")
		}
		s.must(t, "COMMIT PREPARED 'own row'") // sets a password that the login has chosen
		if _, err := s.Login(t.Context(), prepared.Login, "x"); err == nil {
			t.Error("the login can log in with a password of its own making")
		}
		s.hurried(t)
		s.became(t, prepared, "revoked", "")
	})
}

// Whoever owns a table can hold up the dropping of any login with an open GRANT to it. Only that login waits.
func TestAnOpenGrantToOneLoginDelaysNoOther(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.hurried(t)
		accomplice, victim, other := s.mint(t, "app_owner"), s.mint(t, "app_read"), s.mint(t, "app_read")
		open := s.holding(t, accomplice.Login, accomplice.Password.Reveal(),
			"SET ROLE app_owner", "BEGIN", "GRANT SELECT ON shop.secrets TO "+victim.Login)
		session := s.holding(t, victim.Login, victim.Password.Reveal())
		s.expire(t, victim, other)
		s.hurried(t)
		s.became(t, other, "revoked", "")
		s.became(t, victim, "revoking", "locked")
		if session.Exec(t.Context(), "SELECT 1") == nil {
			t.Error("the victim's session lives")
		}
		open.Close()
		s.hurried(t)
		s.became(t, victim, "revoked", "")
	})
}

// A login that none of the creators may alter, as a dump from before PostgreSQL 16 leaves them, is told apart and delays
// no other. Before 16 there is no such login.
func TestALoginOfSomebodyElsesMakingDelaysNoOther(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.hurried(t)
		foreign, other := s.mint(t, "app_read"), s.mint(t, "app_read")
		if s.modern() {
			creator := one[string](t, s, "SELECT 'dbsts_creator_' || to_char(creator, 'FM00') FROM dbsts.grants WHERE id = $1", foreign.Grant)
			s.must(t, "REVOKE "+foreign.Login+" FROM "+creator+" CASCADE")
		}
		s.expire(t, foreign, other)
		s.hurried(t)
		s.became(t, other, "revoked", "")
		if !s.modern() {
			s.became(t, foreign, "revoked", "")
			return
		}
		s.became(t, foreign, "revoking", "rights")
		creator := one[string](t, s, "SELECT 'dbsts_creator_' || to_char(creator, 'FM00') FROM dbsts.grants WHERE id = $1", foreign.Grant)
		s.must(t, "GRANT "+foreign.Login+" TO "+creator+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
		s.hurried(t)
		s.became(t, foreign, "revoked", "")
	})
}

// Nothing waits for a lock that a login can take: not for advisory locks, whichever, nor for what a session holds that
// has read its claims and was left open.
func TestLocksOfALoginDelayNobody(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.mint(t, "app_read")
		due := s.mint(t, "app_read")
		s.holding(t, c.Login, c.Password.Reveal(), "BEGIN", "SELECT dbsts_api.claim('tenant'), dbsts_api.claim('x')",
			"SELECT count(pg_advisory_lock(n)) FROM generate_series(-200, 1000) n",
			"SELECT count(pg_advisory_xact_lock(hashtext(n), 0)) FROM unnest('{dbsts,sweep,install,mint,migrate,dbsts.gate,dbsts_sweep}'::text[]) n",
			"SELECT count(pg_advisory_lock(oid::int, 0)) FROM pg_database")
		s.expire(t, due)
		var group sync.WaitGroup
		within := func(name string, limit time.Duration, do func(ctx context.Context) error) {
			group.Go(func() {
				begin := time.Now()
				if err := do(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(begin); took > limit {
					t.Errorf("%s took %s", name, took)
				}
			})
		}
		m := s.wish(t, "app_read")
		within("install", 8*time.Second, func(ctx context.Context) error { _, err := s.Install(ctx); return err })
		within("mint", time.Second, func(ctx context.Context) error { _, err := s.Minter().Mint(ctx, m); return err })
		within("lease", time.Second, func(ctx context.Context) error { _, err := s.Ender().Lease(ctx, 10, 0); return err })
		group.Wait()
		within("reconcile", time.Second, func(ctx context.Context) error { _, err := s.Ender().Reconcile(ctx); return err })
		group.Wait()
		s.hurried(t)
		s.became(t, due, "revoked", "")
		s.became(t, c, "active", "")
	})
}
