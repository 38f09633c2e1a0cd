package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/logging"
)

// ledger is an ender of grants that never saw a database. It checks the order of every step: nothing is killed before it
// is blocked, nothing is dropped before two empty looks a second apart.
type ledger struct {
	t         *testing.T
	due       []string
	sessions  map[string]int // looks that still find a session of the grant
	locked    map[string]int // blocks that still find the grant locked
	owned     map[string]bool
	stranger  int // looks that still find the same stranger
	down      bool
	blocked   map[string]bool
	emptyAt   map[string]time.Time // first empty look in a row
	proven    map[string]bool
	dropped   []string
	postponed map[string]string
}

func newLedger(t *testing.T, due ...string) *ledger {
	t.Helper()
	return &ledger{
		t: t, due: due, sessions: map[string]int{}, locked: map[string]int{}, owned: map[string]bool{}, blocked: map[string]bool{},
		emptyAt: map[string]time.Time{}, proven: map[string]bool{}, postponed: map[string]string{},
	}
}

func (l *ledger) Reconcile(context.Context) (engine.Findings, error) {
	if l.down {
		return engine.Findings{}, engine.ErrUnavailable
	}
	return engine.Findings{Due: len(l.due)}, nil
}

func (l *ledger) Lease(_ context.Context, n int, _ time.Duration) ([]engine.Lease, error) {
	leases := make([]engine.Lease, 0, n)
	for _, id := range l.due[:min(n, len(l.due))] {
		leases = append(leases, engine.Lease{Grant: id})
	}
	l.due = l.due[len(leases):]
	return leases, nil
}

func (l *ledger) Block(_ context.Context, ids []string) error {
	for _, id := range ids {
		if l.locked[id] > 0 {
			if len(ids) == 1 {
				l.locked[id]--
			}
			return &engine.StuckError{Cause: "locked"}
		}
	}
	for _, id := range ids {
		l.blocked[id] = true
	}
	return nil
}

func (l *ledger) Kill(_ context.Context, ids []string, seen []engine.Stranger) (engine.Look, error) {
	look := engine.Look{}
	if l.stranger > 0 {
		l.stranger--
		look.Strangers = []engine.Stranger{{PID: 7, VXID: "3/4"}}
		look.Lingering = len(seen)
	}
	for _, id := range ids {
		if l.sessions[id] > 0 {
			l.sessions[id]--
			look.Busy = append(look.Busy, id)
		}
		switch first, empty := l.emptyAt[id]; {
		case slices.Contains(look.Busy, id) || look.Lingering > 0 || !l.blocked[id]:
			delete(l.emptyAt, id)
			l.proven[id] = false
		case !empty:
			l.emptyAt[id] = time.Now()
		case time.Since(first) >= time.Second:
			l.proven[id] = true
		}
	}
	return look, nil
}

func (l *ledger) Drop(_ context.Context, ids []string) error {
	for _, id := range ids {
		if !l.blocked[id] || !l.proven[id] {
			l.t.Errorf("%s is dropped: blocked %v, proven %v", id, l.blocked[id], l.proven[id])
		}
		if l.owned[id] {
			return &engine.StuckError{Cause: "owned"}
		}
	}
	l.dropped = append(l.dropped, ids...)
	return nil
}

func (l *ledger) Postpone(_ context.Context, id, cause string) error {
	l.postponed[id] = cause
	return nil
}

func (l *ledger) Close() {}

func sweep(t *testing.T, ledgers ...*ledger) (broker.Report, error) {
	t.Helper()
	servers := make([]broker.SweepServer, 0, len(ledgers))
	for n, l := range ledgers {
		servers = append(servers, broker.SweepServer{Name: fmt.Sprint("server", n), Ender: l})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 54*time.Second)
	defer cancel()
	return broker.NewSweeper(servers).Sweep(ctx)
}

// inTime runs a test on a clock of its own, so that a second of pause takes none.
func inTime(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func TestASweepEndsWhatIsDue(t *testing.T) {
	inTime(t, "one after the other step, and a proof before each drop", func(t *testing.T) {
		l := newLedger(t, many(1200)...)
		l.sessions["g7"] = 3
		report, err := sweep(t, l)
		if err != nil || len(l.dropped) != 1200 || report.Servers[0].Dropped != 1200 {
			t.Errorf("dropped %d, report %+v, error %v", len(l.dropped), report, err)
		}
	})
	inTime(t, "a session that does not die delays nobody else", func(t *testing.T) {
		l := newLedger(t, "a", "b", "c")
		l.sessions["b"] = 1 << 20
		_, err := sweep(t, l)
		check(t, l, err, []string{"a", "c"}, map[string]string{"b": "sessions"})
	})
	inTime(t, "a login whose row is locked is killed first and blocked then", func(t *testing.T) {
		l := newLedger(t, "a", "b")
		l.locked["b"] = 1
		_, err := sweep(t, l)
		check(t, l, err, []string{"a", "b"}, map[string]string{})
	})
	inTime(t, "a login that stays locked is postponed", func(t *testing.T) {
		l := newLedger(t, "a", "b")
		l.locked["b"] = 1 << 20
		_, err := sweep(t, l)
		check(t, l, err, []string{"a"}, map[string]string{"b": "locked"})
	})
	inTime(t, "a login that owns objects is postponed, and the others of its batch are dropped", func(t *testing.T) {
		l := newLedger(t, "a", "b", "c")
		l.owned["b"] = true
		_, err := sweep(t, l)
		check(t, l, err, []string{"a", "c"}, map[string]string{"b": "owned"})
	})
	inTime(t, "a stranger older than the block holds up the proof until it is gone", func(t *testing.T) {
		l := newLedger(t, "a")
		l.stranger = 3
		_, err := sweep(t, l)
		check(t, l, err, []string{"a"}, map[string]string{})
	})
	inTime(t, "one dead server does not keep another from its work", func(t *testing.T) {
		dead, alive := newLedger(t), newLedger(t, "a")
		dead.down = true
		report, err := sweep(t, dead, alive)
		if !errors.Is(err, engine.ErrUnavailable) || report.Servers[0].Error == "" || report.Servers[1].Dropped != 1 {
			t.Errorf("report %+v, error %v", report, err)
		}
	})
	inTime(t, "what there is no time for is left, and said", func(t *testing.T) {
		l := newLedger(t, many(500*60)...)
		report, err := sweep(t, l)
		if err != nil || !report.Servers[0].Remaining || len(l.due) == 0 {
			t.Errorf("report %+v, %d left, error %v", report, len(l.due), err)
		}
	})
}

// holder is the revoker's view of one grant.
type holder struct {
	*ledger
	id  string
	err error
}

func (h holder) Surrender(ctx context.Context, p engine.Possession) error {
	if h.err != nil {
		return h.err
	}
	if p.Grant != h.id {
		return engine.ErrUnknownGrant
	}
	return h.Block(ctx, []string{p.Grant})
}

func (h holder) Silence(ctx context.Context, p engine.Possession, seen []engine.Stranger) (engine.Look, error) {
	return h.Kill(ctx, []string{p.Grant}, seen)
}

func TestRevokeReturnsWhenTheSessionsAreProvenDead(t *testing.T) {
	secret := engine.Possession{Grant: "a", Secret: logging.NewSecret("s")}
	inTime(t, "with sessions", func(t *testing.T) {
		h := holder{newLedger(t), "a", nil}
		h.sessions["a"] = 5
		if err := broker.NewRevoker([]engine.Revoker{h}).Revoke(t.Context(), secret); err != nil || !h.proven["a"] {
			t.Errorf("error %v, proven %v", err, h.proven["a"])
		}
	})
	inTime(t, "an unknown grant is no error", func(t *testing.T) {
		h := holder{newLedger(t), "other", nil}
		if err := broker.NewRevoker([]engine.Revoker{h}).Revoke(t.Context(), secret); err != nil {
			t.Error(err)
		}
	})
	inTime(t, "unless a server that might have it is down", func(t *testing.T) {
		other, down := holder{newLedger(t), "other", nil}, holder{newLedger(t), "a", engine.ErrUnavailable}
		err := broker.NewRevoker([]engine.Revoker{other, down}).Revoke(t.Context(), secret)
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
	})
	inTime(t, "which does not matter once it was found elsewhere", func(t *testing.T) {
		h, down := holder{newLedger(t), "a", nil}, holder{newLedger(t), "b", engine.ErrUnavailable}
		if err := broker.NewRevoker([]engine.Revoker{down, h}).Revoke(t.Context(), secret); err != nil {
			t.Error(err)
		}
	})
	inTime(t, "a session that will not die is an error", func(t *testing.T) {
		h := holder{newLedger(t), "a", nil}
		h.sessions["a"] = 1 << 20
		if err := broker.NewRevoker([]engine.Revoker{h}).Revoke(t.Context(), secret); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
	})
}

func check(t *testing.T, l *ledger, err error, dropped []string, postponed map[string]string) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	slices.Sort(l.dropped)
	if diff := cmp.Diff(l.dropped, dropped); diff != "" {
		t.Errorf("dropped (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(l.postponed, postponed); diff != "" {
		t.Errorf("postponed (-got +want):\n%s", diff)
	}
}

func many(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("g", i)
	}
	return ids
}
