package postgres_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/engine/enginetest"
	"dbsts/tests/shop"
)

// role makes a role of the shop with a rule, and gives a wish for it.
func (s *server) role(t *testing.T, activation string, may ...enginetest.Right) func() engine.Mint {
	t.Helper()
	name := "t_" + engine.NewGrantID()[:12]
	role := enginetest.Role{Name: name, Target: shop.Target, Activation: activation, MaxTTL: 3600, May: may}
	if err := s.MakeRole(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	rule := s.rule(t, name, "")
	return func() engine.Mint {
		m := s.wish(t, "app_read")
		m.Roles, m.Rules = []string{name}, []engine.Rule{{ID: rule, Version: 1}}
		return m
	}
}

// minted mints a wish.
func (s *server) minted(t *testing.T, m engine.Mint) engine.Credential {
	t.Helper()
	c, err := s.Minter().Mint(t.Context(), m)
	if err != nil {
		t.Fatalf("mint: %v", err)
	}
	return c
}

// sweep runs one whole sweep, as the function does.
func (s *server) sweep(t *testing.T, ender engine.Ender) broker.ServerReport {
	t.Helper()
	report, err := broker.NewSweeper([]broker.SweepServer{{Name: "main", Ender: ender}}).Sweep(t.Context())
	if err != nil {
		t.Fatalf("sweep: %v", err)
	}
	return report.Servers[0]
}

// stepper tells when a sweep comes to a step.
type stepper struct {
	engine.Ender
	before func(step string)
	looks  int
	caught int // strangers whom two looks saw
}

func (e *stepper) Lease(ctx context.Context, n int, hold time.Duration) ([]engine.Lease, error) {
	e.before("lease")
	return e.Ender.Lease(ctx, n, hold)
}

func (e *stepper) Block(ctx context.Context, ids []string) error {
	e.before("block")
	return e.Ender.Block(ctx, ids)
}

func (e *stepper) Kill(ctx context.Context, ids []string, seen []engine.Stranger) (engine.Look, error) {
	e.looks++
	e.before(fmt.Sprintf("look %d", e.looks))
	look, err := e.Ender.Kill(ctx, ids, seen)
	e.caught += look.Lingering
	return look, err
}

func (e *stepper) Drop(ctx context.Context, ids []string) error {
	e.before("drop")
	return e.Ender.Drop(ctx, ids)
}

// intruder is a client that tries to be past the login check and yet unseen while its login is cut, and then to write.
type intruder struct {
	engine.Credential
	step  string                // of the sweep, at which it begins
	shape func(*pgx.ConnConfig) // how it delays itself
}

// A client can ask the server to wait between login check and first command (post_auth_delay), and can itself stop at
// any message of the handshake. Neither lets it act once its grant is called revoked.
func TestNobodySlipsThroughACut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		roles := []func() engine.Mint{s.role(t, "inherit", enginetest.Write), s.role(t, "set", enginetest.Write)}
		var mixed, late []*intruder
		add := func(to *[]*intruder, step string, shape func(*pgx.ConnConfig)) {
			for _, wish := range roles {
				*to = append(*to, &intruder{Credential: s.minted(t, wish()), step: step, shape: shape})
			}
		}
		delayed := func(seconds int) func(*pgx.ConnConfig) {
			return func(c *pgx.ConnConfig) { c.RuntimeParams["post_auth_delay"] = strconv.Itoa(seconds) }
		}
		for n, step := range []string{"lease", "block", "look 1", "look 2", "drop"} {
			add(&mixed, step, delayed(1+n%3))
		}
		release := make(chan struct{})
		for write := range int32(9) { // SSLRequest, ClientHello, Finished, startup, two of SASL, and what comes after
			add(&mixed, "lease", func(c *pgx.ConnConfig) { c.DialFunc = stalled(write, release) })
		}
		s.survive(t, mixed, release)
		add(&late, "lease", delayed(4)) // by themselves: nobody else wakes up and shows that the batch is not silent
		if s.survive(t, late, make(chan struct{})) == 0 {
			t.Error("no client was past the login check and yet unseen: the case proves nothing")
		}
	})
}

// survive cuts the grants of intruders and wants none of them to have done anything since. It answers how many the looks
// have caught unseen.
func (s *server) survive(t *testing.T, all []*intruder, release chan struct{}) int {
	t.Helper()
	for _, i := range all {
		s.expire(t, i.Credential)
	}
	var clients sync.WaitGroup
	begun := map[string]bool{}
	ender := &stepper{Ender: s.Ender(), before: func(step string) {
		before := len(begun)
		for _, i := range all {
			if i.step == step && !begun[i.Login] {
				begun[i.Login] = true
				clients.Go(func() { s.intrude(t, i) })
			}
		}
		if len(begun) > before {
			time.Sleep(300 * time.Millisecond) // enough for the handshakes
		}
	}}
	const sweeps = 4
	for range sweeps {
		s.sweep(t, ender)
		s.must(t, "UPDATE dbsts.grants SET next_attempt_at = now() WHERE state IN ('revoking', 'quarantined')")
		if one[int](t, s, "SELECT count(*) FROM dbsts.grants WHERE state IN ('revoking', 'quarantined')") == 0 {
			break
		}
	}
	close(release)
	clients.Wait()
	for _, i := range all {
		if row, err := s.Row(t.Context(), i.Grant); err != nil || row.State != "revoked" {
			t.Errorf("%s, begun at %s: %+v, %v", i.Login, i.step, row, err)
		}
		late := one[int](t, s, `SELECT count(*) FROM shop.visits v, dbsts.grants g WHERE v.who = g.login AND g.id = $1 AND v.at > g.ended_at`, i.Grant)
		if late > 0 {
			t.Errorf("%s, begun at %s, wrote %d rows after it was revoked", i.Login, i.step, late)
		}
	}
	ghosts := one[int](t, s, "SELECT count(*) FROM pg_stat_activity a WHERE usesysid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid)")
	if ghosts > 0 {
		t.Errorf("%d sessions of logins that are gone", ghosts)
	}
	return ender.caught
}

// intrude logs in, slowly, and writes for as long as it can.
func (s *server) intrude(t *testing.T, i *intruder) {
	config, err := pgx.ParseConfig(s.DSN(i.Login, i.Password.Reveal(), shop.Database))
	if err != nil {
		t.Error(err)
		return
	}
	if i.SessionRole != "" {
		config.RuntimeParams["role"] = i.SessionRole // taken before the delay: such a session keeps its rights
	}
	i.shape(config)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	for err == nil {
		_, err = conn.Exec(ctx, "INSERT INTO shop.visits (who) VALUES ($1)", i.Login) // session_user fails once the login is gone
		time.Sleep(5 * time.Millisecond)
	}
}

// stalled dials connections that stop before their nth write until they are released.
func stalled(n int32, release <-chan struct{}) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &stallingConn{Conn: conn, left: n, release: release}, err
	}
}

type stallingConn struct {
	net.Conn
	left    int32
	release <-chan struct{}
}

func (c *stallingConn) Write(b []byte) (int, error) {
	if c.left == 0 {
		<-c.release
	}
	c.left--
	return c.Conn.Write(b)
}
