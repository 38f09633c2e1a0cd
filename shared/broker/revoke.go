package broker

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

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
	var group errgroup.Group // each server by itself: one that is down must not keep the others from ending the grant
	for _, server := range v.servers {
		group.Go(func() error { return revokeOn(ctx, server, p) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

func revokeOn(ctx context.Context, server engine.Revoker, p engine.Possession) error {
	look := func(ctx context.Context, _ []string, seen []engine.Stranger) (engine.Look, error) { return server.Silence(ctx, p, seen) }
	for range surrenderTries {
		blocked := server.Surrender(ctx, p)
		if errors.Is(blocked, engine.ErrUnknownGrant) {
			return nil
		}
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
