package broker

import (
	"context"
	"errors"

	"dbsts/shared/engine"
)

// cutBatch is how many logins are blocked or dropped in one transaction: more gain nothing, and a transaction of more than
// 64 role changes is slower to undo.
const cutBatch = 50

// cutRounds is how often a login whose row is locked is tried within one cut: its sessions are killed in between.
const cutRounds = 2

// cutResult counts what became of a batch.
type cutResult struct {
	dropped   int
	postponed int
}

// cut ends grants: block, commit, kill, prove, drop (design §2.4). What cannot be ended now is postponed, blocked and
// stripped; what an error leaves undone is still leased and falls to a later sweep.
func cut(ctx context.Context, e engine.Ender, leases []engine.Lease) (cutResult, error) {
	var result cutResult
	pending := make([]string, 0, len(leases))
	for _, lease := range leases {
		pending = append(pending, lease.Grant)
	}
	var unblocked []stuck
	for range cutRounds {
		// 1. Block. A login whose row is locked by its own session stays pending: it is killed with the others and tried again.
		var blocked []string
		var err error
		blocked, unblocked, err = each(pending, func(ids []string) error { return e.Block(ctx, ids) })
		if err != nil {
			return result, err
		}
		// 2. Kill, until proof.
		proven, err := prove(ctx, e.Kill, pending)
		if err != nil {
			return result, err
		}
		// 3. Drop what is both.
		ready := without(proven, reasons(unblocked).ids())
		dropped, undroppable, err := each(ready, func(ids []string) error { return e.Drop(ctx, ids) })
		if err != nil {
			return result, err
		}
		result.dropped += len(dropped)
		// 4. Postpone the rest, but for those that could not be blocked, which get another round.
		for _, id := range without(blocked, proven) {
			undroppable = append(undroppable, stuck{id: id, cause: "sessions"})
		}
		if err := postpone(ctx, e, undroppable); err != nil {
			return result, err
		}
		result.postponed += len(undroppable)
		pending = reasons(unblocked).ids()
		if len(pending) == 0 {
			return result, nil
		}
	}
	result.postponed += len(unblocked)
	return result, postpone(ctx, e, unblocked)
}

// stuck is a grant that one step could not be done for, and why.
type stuck struct{ id, cause string }

type reasons []stuck

func (r reasons) ids() []string {
	ids := make([]string, 0, len(r))
	for _, s := range r {
		ids = append(ids, s.id)
	}
	return ids
}

// each does one step for all ids, in batches; a batch in which one is stuck is done one by one. Other errors end it.
func each(ids []string, step func([]string) error) (done []string, left []stuck, err error) {
	for len(ids) > 0 {
		batch := ids[:min(cutBatch, len(ids))]
		ids = ids[len(batch):]
		err := step(batch)
		switch {
		case err == nil:
			done = append(done, batch...)
		case !errors.Is(err, engine.ErrStuck):
			return done, left, err
		case len(batch) == 1:
			left = append(left, stuck{id: batch[0], cause: cause(err)})
		default:
			for _, id := range batch {
				one, rest, serr := each([]string{id}, step)
				if serr != nil {
					return done, left, serr
				}
				done, left = append(done, one...), append(left, rest...)
			}
		}
	}
	return done, left, nil
}

// cause is the machine word that the engine gave for being stuck.
func cause(err error) string {
	var word *engine.StuckError
	if errors.As(err, &word) {
		return word.Cause
	}
	return "stuck"
}

func postpone(ctx context.Context, e engine.Ender, list []stuck) error {
	for _, s := range list {
		if err := e.Postpone(ctx, s.id, s.cause); err != nil {
			return err
		}
	}
	return nil
}
