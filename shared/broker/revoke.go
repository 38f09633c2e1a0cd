package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"dbsts/shared/engine"
)

// surrenderTries is how often a login whose row somebody has locked is blocked anew, after its sessions were killed: the
// lock dies with them.
const surrenderTries = 3

// Revoker is the use case behind POST /revoke: whoever holds a credential may end it. Safe for concurrent use.
type Revoker struct {
	servers []engine.Revoker
}

// NewRevoker serves the grants of all these servers; a grant's id does not say which is its own.
func NewRevoker(servers []engine.Revoker) *Revoker { return &Revoker{servers: servers} }

// Revoke blocks the login, ends its sessions and proves that none is left, before it returns. The sweep drops it later.
// Unknown, and ended already, are no errors (RFC 7009 §2.2). After an error the caller must assume that the login lives.
func (v *Revoker) Revoke(ctx context.Context, p engine.Possession) error {
	results := make([]error, len(v.servers))
	var group sync.WaitGroup
	for n, server := range v.servers {
		group.Go(func() { results[n] = revokeOn(ctx, server, p) })
	}
	group.Wait()
	if slices.Contains(results, nil) { // it was there, and it has ended; a server that is down cannot have had it too
		return nil
	}
	for _, err := range results {
		if !errors.Is(err, engine.ErrUnknownGrant) {
			return fmt.Errorf("revoke: %w", err)
		}
	}
	return nil
}

// revokeOn ends the grant on one server. ErrUnknownGrant: it is not there.
func revokeOn(ctx context.Context, server engine.Revoker, p engine.Possession) error {
	look := func(ctx context.Context, _ []string, seen []engine.Stranger) (engine.Look, error) {
		return server.Silence(ctx, p, seen)
	}
	for range surrenderTries {
		blocked := server.Surrender(ctx, p)
		if blocked != nil && !errors.Is(blocked, engine.ErrStuck) {
			return blocked
		}
		proven, err := prove(ctx, look, []string{p.Grant})
		if err != nil {
			return err
		}
		if blocked == nil && len(proven) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: a session or a lock outlived its end", engine.ErrUnavailable)
}
