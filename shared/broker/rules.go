package broker

import (
	"context"
	"fmt"
	"sync/atomic"

	"dbsts/shared/engine"
	"dbsts/shared/policy"
)

// Server is one database server as the exchange sees it: a minter, and its rules in compiled form. The rules are cached
// and yet never stale: every mint and every refusal names the version it was decided on, and the database rejects an old
// one. Safe for concurrent use.
type Server struct {
	minter engine.Minter
	cached atomic.Pointer[rules]
}

// rules are the compiled rules of one version.
type rules struct {
	set     *policy.Set
	version int64
	asOf    string
}

// NewServer wraps a minter.
func NewServer(minter engine.Minter) *Server { return &Server{minter: minter} }

// Warm reads the rules, so that the first caller need not wait. Its error only informs.
func (s *Server) Warm(ctx context.Context) error {
	_, err := s.rules(ctx, nil)
	return err
}

// Broken lists rules that cannot be understood, as far as rules have been read.
func (s *Server) Broken() []policy.Broken {
	if current := s.cached.Load(); current != nil {
		return current.set.Broken()
	}
	return nil
}

// rules gives the cached rules, or reads them when there are none or when the cached ones are those that proved stale.
// Two callers may read at the same time; the newer answer stays.
func (s *Server) rules(ctx context.Context, stale *rules) (*rules, error) {
	if current := s.cached.Load(); current != nil && current != stale {
		return current, nil
	}
	doc, err := s.minter.Policy(ctx)
	if err != nil {
		return nil, err
	}
	set, err := policy.Compile(doc.Doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrMisconfigured, err)
	}
	fresh := &rules{set: set, version: doc.Version, asOf: doc.AsOf}
	s.cached.Store(fresh)
	return fresh, nil
}
