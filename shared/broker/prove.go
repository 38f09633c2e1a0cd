package broker

import (
	"context"
	"slices"
	"time"

	"dbsts/shared/engine"
)

// The proof that no session is left: two empty looks, proofPause apart (design §2.4). A session that was told to end needs
// milliseconds; glance is how often we look whether it has, and patience how long we wait for it before we go on without it.
const (
	proofPause  = time.Second
	glance      = 50 * time.Millisecond
	patience    = 4 * time.Second
	proofRounds = 3
)

// look is one look for the sessions of grants (engine.Ender.Kill, or engine.Revoker.Silence).
type look func(ctx context.Context, ids []string, seen []engine.Stranger) (engine.Look, error)

// prove looks and kills until it has proof, and answers the ids that it holds for. The logins must be blocked, and that
// must be committed, before. Ids whose sessions do not die in time are left out.
func prove(ctx context.Context, look look, ids []string) ([]string, error) {
	for range proofRounds {
		first, err := silence(ctx, look, ids)
		if err != nil {
			return nil, err
		}
		ids = without(ids, first.Busy)
		if len(ids) == 0 {
			return nil, nil
		}
		if err = sleep(ctx, proofPause); err != nil {
			return nil, err
		}
		// A stranger that both looks see got past the login check before the first; whose it is nobody can tell.
		second, err := look(ctx, ids, first.Strangers)
		if err != nil {
			return nil, err
		}
		if len(second.Busy) == 0 && second.Lingering == 0 {
			return ids, nil
		}
	}
	return nil, nil
}

// silence looks until a look is empty, or until patience is over: then the answer names who is still busy.
func silence(ctx context.Context, look look, ids []string) (engine.Look, error) {
	for deadline := time.Now().Add(patience); ; {
		seen, err := look(ctx, ids, nil)
		if err != nil || len(seen.Busy) == 0 || time.Now().After(deadline) {
			return seen, err
		}
		if err := sleep(ctx, glance); err != nil {
			return seen, err
		}
	}
}

// without gives the ids that are not in the second list.
func without(ids, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(gone, id) })
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
