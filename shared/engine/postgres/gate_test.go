package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/engine"
	"dbsts/tests/shop"
)

// open begins a transaction of the superuser and runs statements in it.
func (s *server) open(t *testing.T, statements ...string) pgx.Tx {
	t.Helper()
	tx, err := s.Admin(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return tx
}

// waiting waits until somebody waits for a lock on one of our tables.
func (s *server) waiting(t *testing.T, table string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if one[bool](t, s, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass)", table) {
			return
		}
	}
	t.Fatalf("nobody waits for %s", table)
}

type minting struct {
	credential engine.Credential
	err        error
}

// minting mints beside the test.
func (s *server) minting(ctx context.Context, m engine.Mint) <-chan minting {
	done := make(chan minting, 1)
	go func() {
		c, err := s.Minter().Mint(ctx, m)
		done <- minting{c, err}
	}()
	return done
}

// A mint that comes while rules change waits for the change, and then finds that it has decided on old ones.
func TestAMintBehindAChangeOfRulesIsStale(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		rule := s.rule(t, "app_read", "")
		m := s.wish(t, "app_read")
		change := s.open(t, "UPDATE dbsts.rules SET enabled = false WHERE id = '"+rule+"'", "SET CONSTRAINTS ALL IMMEDIATE")
		done := s.minting(t.Context(), m)
		s.waiting(t, "dbsts.gate")
		if err := change.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-done; !errors.Is(got.err, engine.ErrStalePolicy) {
			t.Errorf("mint gave %v, want stale", got.err)
		}
	})
}

// A change of rules, or an epoch, that comes while a mint is under way is committed after it: whoever looks then sees the grant.
func TestAChangeBehindAMintIsCommittedAfterIt(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		rule := s.rule(t, "app_read", "")
		for name, statement := range map[string]string{
			"rule":      "UPDATE dbsts.rules SET note = 'changed' WHERE id = '" + rule + "'",
			"catalogue": "UPDATE dbsts.roles SET note = 'changed' WHERE role = 'app_owner'",
			"freeze":    "UPDATE dbsts.policy SET frozen = true",
			"epoch":     "INSERT INTO dbsts.epochs VALUES ('https://issuer.test', 'sub', '%s', now(), 'test')",
		} {
			m := s.wish(t, "app_read")
			if name == "epoch" {
				statement = fmt.Sprintf(statement, m.Subject.Subject)
			}
			inFlight := s.open(t, "LOCK TABLE dbsts.grants IN SHARE MODE") // stops a mint that has checked everything
			done := s.minting(t.Context(), m)
			s.waiting(t, "dbsts.grants")
			changed := make(chan error, 1)
			go func() { changed <- s.Exec(t.Context(), shop.Database, statement) }()
			s.waiting(t, "dbsts.gate")
			if err := inFlight.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-changed; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n := one[int](t, s, "SELECT count(*) FROM dbsts.grants WHERE id = $1", m.ID); n != 1 {
				t.Errorf("%s was committed before the mint that it found under way", name)
			}
			if got := <-done; got.err != nil {
				t.Errorf("%s: mint gave %v", name, got.err)
			}
			if name == "freeze" {
				s.must(t, "UPDATE dbsts.policy SET frozen = false")
			}
		}
	})
}

// A person who changes rules and leaves the transaction open delays neither mints nor, beyond a time-out, other people.
func TestAnOpenChangeOfRulesDelaysNoMint(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		first, second := s.rule(t, "app_read", ""), s.rule(t, "app_read", "")
		for _, statement := range []string{
			"UPDATE dbsts.rules SET note = 'open' WHERE id = '" + first + "'", "UPDATE dbsts.roles SET note = 'open' WHERE role = 'app_owner'", "UPDATE dbsts.policy SET frozen = true",
			"INSERT INTO dbsts.epochs VALUES ('https://other.test', '*', '*', now(), 'test')",
		} {
			tx := s.open(t, statement)
			changed := make(chan error, 1)
			go func() {
				changed <- s.Exec(t.Context(), shop.Database, "UPDATE dbsts.rules SET note = 'other' WHERE id = '"+second+"'")
			}()
			for begin := time.Now(); time.Since(begin) < 300*time.Millisecond; {
				m, before := s.wish(t, "app_read"), time.Now()
				_, err := s.Minter().Mint(t.Context(), m)
				if took := time.Since(before); took > time.Second || err != nil && !errors.Is(err, engine.ErrStalePolicy) {
					t.Errorf("beside %s a mint took %s: %v", statement, took, err)
				}
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-changed; err != nil {
				t.Errorf("beside %s another change: %v", statement, err)
			}
		}
	})
}

// Once a change of rules, or an epoch, is committed, no grant appears that does not know of it: tried with whatever
// interleavings a crowd of minters and one busy person come to.
func TestNoGrantIsOlderThanWhatWasCommittedBeforeIt(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		const minters, changes = 4, 12
		subject := "crowd-" + engine.NewGrantID()
		wish := s.role(t, "inherit")
		stop := make(chan struct{})
		var group sync.WaitGroup
		for range minters {
			m := wish()
			group.Go(func() { s.mintUntil(t, stop, m, subject) })
		}
		rule := s.rule(t, "app_read", "")
		old := map[int64]int{} // version → grants of older versions when it was committed
		const older = `SELECT count(*) FROM dbsts.grants WHERE subject = $1 AND policy_version < $2`
		const overtaken = `SELECT count(*) FROM dbsts.grants g JOIN dbsts.epochs e ON e.kind = 'sub' AND e.value = g.subject AND g.token_iat <= e.not_before WHERE g.subject = $1`
		for n := range changes {
			s.change(t, "UPDATE dbsts.rules SET note = $2 WHERE id = $1", rule, fmt.Sprint(n)) // not the minters' own rule
			version := one[int64](t, s, "SELECT version FROM dbsts.policy")
			old[version] = one[int](t, s, older, subject, version)
		}
		for n := range changes {
			s.change(t, `INSERT INTO dbsts.epochs VALUES ($1, 'sub', $2, now() - $3 * interval '1 minute', 'test')
				ON CONFLICT (issuer, kind, value) DO UPDATE SET not_before = excluded.not_before`, shop.Issuer, subject, changes-n)
		}
		s.change(t, "UPDATE dbsts.epochs SET not_before = now() WHERE value = $1", subject)
		ended := one[int](t, s, overtaken, subject)
		time.Sleep(200 * time.Millisecond)
		close(stop)
		group.Wait()
		for version, before := range old {
			if after := one[int](t, s, older, subject, version); after != before {
				t.Errorf("%d grants decided on older rules came after version %d", after-before, version)
			}
		}
		if late := one[int](t, s, overtaken, subject) - ended; late != 0 {
			t.Errorf("%d grants came after the epoch that had overtaken their tokens", late)
		}
		if total := one[int](t, s, older, subject, int64(1)<<60); total < changes || ended == 0 {
			t.Errorf("%d grants, %d of them overtaken: the case proves nothing", total, ended)
		}
		if _, err := s.Ender().Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := one[int](t, s, overtaken+" AND state = 'active'", subject); n != 0 {
			t.Errorf("%d live grants are older than their epoch", n)
		}
	})
}

// change is a statement of the superuser, with arguments.
func (s *server) change(t *testing.T, statement string, args ...any) {
	t.Helper()
	if err := s.exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// mintUntil mints, as the broker does, until it is stopped.
func (s *server) mintUntil(t *testing.T, stop <-chan struct{}, m engine.Mint, subject string) {
	m.Subject.Subject, m.Identity = subject, "one of "+engine.NewGrantID()
	for {
		select {
		case <-stop:
			return
		default:
		}
		p, err := s.Minter().Policy(t.Context())
		if err != nil {
			t.Errorf("policy: %v", err)
			return
		}
		m.ID, m.PolicyVersion, m.PolicyAsOf, m.IssuedAt = engine.NewGrantID(), p.Version, p.AsOf, time.Now().Unix()
		_, err = s.Minter().Mint(t.Context(), m)
		if err != nil && !errors.Is(err, engine.ErrStalePolicy) && !errors.Is(err, engine.ErrRefused) {
			t.Errorf("mint: %v", err)
			return
		}
	}
}
