// Package wiring turns the configuration into use cases. It holds the one switch over kinds of engines.
//
// It assumes nothing about what can be reached: an unreachable server or issuer is logged, and an error of the first call
// that needs it. A configuration that is wrong is an error here.
package wiring

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"dbsts/shared/broker"
	"dbsts/shared/config"
	"dbsts/shared/engine"
	"dbsts/shared/engine/postgres"
	"dbsts/shared/identity"
)

// warmCap bounds what INIT may spend on servers and issuers; the platform allows 10 s in all.
const warmCap = 2500 * time.Millisecond

// sweepConns lets one step of a sweep run while another still waits for a lock.
const sweepConns = 2

// spareConns lets a call dial anew while the connection before it, or a dial that nobody waits for any more, is still being
// given up: with a server that has gone silent that takes up to 15 s (pgxpool, Destructor), with all others milliseconds.
const spareConns = 1

// backend is what an engine offers to all functions.
type backend interface {
	engine.Minter
	engine.Revoker
	engine.Ender
	Warm(ctx context.Context) error
}

// Exchange wires the exchange function.
func Exchange(ctx context.Context, path string, log *slog.Logger) (*broker.Exchanger, config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, config.Config{}, fmt.Errorf("load configuration: %w", err)
	}
	verifier, err := identity.New(cfg.Issuers, time.Now)
	if err != nil {
		return nil, config.Config{}, fmt.Errorf("set up issuers: %w", err)
	}
	tasks := []task{{"issuers", verifier.Warm}}
	places := make(map[string]broker.Place, len(cfg.Targets))
	var first *broker.Server
	for _, server := range cfg.Servers {
		b, err := open(ctx, server, server.Logins.Exchange, concurrency()+spareConns)
		if err != nil {
			return nil, config.Config{}, err
		}
		minting := broker.NewServer(b)
		if first == nil {
			first = minting
		}
		tasks = append(tasks, task{"server " + server.Name, minting.Warm})
		host, port, err := address(server)
		if err != nil {
			return nil, config.Config{}, err
		}
		for _, target := range cfg.Targets {
			if target.Server == server.Name {
				places[target.Name] = broker.Place{Engine: server.Engine, Host: host, Port: port, Server: minting}
			}
		}
	}
	terms := make(map[string]broker.Terms, len(cfg.Issuers))
	for _, issuer := range cfg.Issuers {
		terms[issuer.Issuer] = broker.Terms{Replay: issuer.Replay, EndWithToken: issuer.EndWithToken}
	}
	warm(ctx, log, tasks)
	return broker.NewExchanger(verifier, terms, places, first), cfg, nil
}

// Revoke wires the revoke function.
func Revoke(ctx context.Context, path string, log *slog.Logger) (*broker.Revoker, error) {
	var servers []engine.Revoker
	err := each(ctx, path, log, func(s config.Server) (config.Login, int32) { return s.Logins.Revoke, concurrency() + spareConns },
		func(_ config.Server, b backend) { servers = append(servers, b) })
	if err != nil {
		return nil, err
	}
	return broker.NewRevoker(servers), nil
}

// Sweep wires the sweep function.
func Sweep(ctx context.Context, path string, log *slog.Logger) (*broker.Sweeper, error) {
	var servers []broker.SweepServer
	err := each(ctx, path, log, func(s config.Server) (config.Login, int32) { return s.Logins.Sweep, sweepConns },
		func(s config.Server, b backend) {
			servers = append(servers, broker.SweepServer{Name: s.Name, Ender: b})
		})
	if err != nil {
		return nil, err
	}
	return broker.NewSweeper(servers), nil
}

// each opens every server with the login of one function.
func each(ctx context.Context, path string, log *slog.Logger, login func(config.Server) (config.Login, int32), use func(config.Server, backend)) error {
	cfg, err := config.Load(path)
	if err != nil {
		return fmt.Errorf("load configuration: %w", err)
	}
	tasks := make([]task, 0, len(cfg.Servers))
	for _, server := range cfg.Servers {
		account, conns := login(server)
		b, err := open(ctx, server, account, conns)
		if err != nil {
			return err
		}
		tasks = append(tasks, task{"server " + server.Name, b.Warm})
		use(server, b)
	}
	warm(ctx, log, tasks)
	return nil
}

// open is the one switch over kinds of engines.
func open(ctx context.Context, server config.Server, login config.Login, conns int32) (backend, error) {
	switch server.Engine {
	case "postgres":
		e, err := postgres.Open(ctx, server, postgres.Options{Login: login, MaxConns: conns})
		if err != nil {
			return nil, fmt.Errorf("open server %s: %w", server.Name, err)
		}
		return e, nil
	default:
		return nil, fmt.Errorf("server %s: engine %q is not supported", server.Name, server.Engine)
	}
}

// concurrency is how many events one process handles at once: 1 but on Lambda Managed Instances, which say so in this
// variable (AWS, Lambda Managed Instances).
func concurrency() int32 {
	n, err := strconv.ParseInt(os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY"), 10, 32)
	if err != nil || n < 1 {
		return 1
	}
	return int32(n)
}

type task struct {
	name string
	run  func(context.Context) error
}

// warm runs the tasks side by side until they are done or the cap is reached. A failure is logged and nothing more: the
// first call that needs the thing tries again.
func warm(ctx context.Context, log *slog.Logger, tasks []task) {
	ctx, cancel := context.WithTimeout(ctx, warmCap)
	defer cancel()
	var group sync.WaitGroup
	for _, t := range tasks {
		group.Go(func() {
			if err := t.run(ctx); err != nil {
				log.WarnContext(ctx, "not ready at start", "what", t.name, "error", err.Error())
			}
		})
	}
	group.Wait()
}

func address(server config.Server) (string, int, error) {
	host, text, err := net.SplitHostPort(server.PublicAddress)
	if err != nil {
		return "", 0, fmt.Errorf("server %s: public_address: %w", server.Name, err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return "", 0, fmt.Errorf("server %s: public_address: %w", server.Name, err)
	}
	return host, port, nil
}
