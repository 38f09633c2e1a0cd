package enginetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"dbsts/shared/engine"
)

// floodDelaysNobody lets one identity ask far beyond its quota from several callers, while another asks now and then.
func floodDelaysNobody(s *scene) {
	const callers, calls = 6, 30
	const bound = time.Second // half the lock time-out: nobody waits for the flood's rows
	defer func() { s.must("reset limits", s.Limit(s.ctx(), Limits{})) }()
	s.must("limit", s.Limit(s.ctx(), Limits{MintsPerIdentityMinute: calls + 1, RefusalsPerIssuer: 20}))
	role := s.role("inherit", Read)
	quiet := s.patient(role, calls)

	flood, ctx := s.wish(role), s.ctx()
	flood.Identity = "flood-" + s.name
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	refused := make([]int, callers)
	for n := range callers {
		group.Go(func() {
			for ctx.Err() == nil {
				m := flood
				m.ID = engine.NewGrantID()
				if _, err := s.Minter().Mint(ctx, m); errors.Is(err, engine.ErrRefused) {
					refused[n]++
				}
			}
		})
	}
	flooded := s.patient(role, calls)
	stop()
	group.Wait()
	total := 0
	for _, n := range refused {
		total += n
	}
	s.t.Logf("another identity's mint: median %s alone, %s beside a flood of %d refused mints", middle(quiet), middle(flooded), total)
	if worst := slices.Max(flooded); worst > bound || total == 0 {
		s.t.Errorf("beside %d refused mints the slowest of another identity took %s", total, worst)
	}
}

// patient mints for identities of their own, one after the other, and gives how long each took.
func (s *scene) patient(role string, calls int) []time.Duration {
	s.t.Helper()
	took := make([]time.Duration, 0, calls)
	for range calls {
		m := s.wish(role)
		m.Identity = "quiet-" + m.ID
		begin := time.Now()
		_, err := s.ask(m)
		took = append(took, time.Since(begin))
		s.must("mint beside a flood", err)
	}
	return took
}

func middle(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
