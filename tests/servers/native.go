package servers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"dbsts/tests/servers/internal/recipe"
	"dbsts/tests/servers/pki"
)

// host is where our servers listen: nobody outside the machine is to reach them.
const host = "127.0.0.1"

// native is a server made of installed or fetched programs.
type native struct {
	account   account
	binaries  binaries
	home      string // data folder, log, certificates; see template.go
	temporary bool   // Stop removes the home
	options   Options
	port      int

	mu      sync.Mutex // guards what follows
	lock    *os.File   // on the home, as long as we have it; nil after Stop
	process *process   // nil when it does not run
}

func startBinaries(ctx context.Context, o Options) (*Server, error) {
	a, err := serverAccount()
	if err != nil {
		return nil, err
	}
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	n := &native{account: a, options: o, temporary: o.DataDir == ""}
	if !n.temporary {
		if n.home, err = filepath.Abs(o.DataDir); err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
		made, missing := os.ReadFile(filepath.Join(n.home, dataFolder, "PG_VERSION"))
		if missing == nil && o.Version == "" {
			o.Version = strings.TrimSpace(string(made))
		}
	}
	if n.binaries, err = findBinaries(ctx, c, a, o); err != nil {
		return nil, err
	}
	if err = n.moveIn(ctx, c); err != nil {
		return nil, err
	}
	err = n.furnish(ctx, c, o)
	if err == nil {
		err = n.firstStart(ctx)
	}
	var password []byte
	if err == nil {
		password, err = os.ReadFile(filepath.Join(n.home, passwordFile))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start postgresql %s: %w", n.binaries.version, err), n.Stop())
	}
	return &Server{
		Control: n, Host: host, Port: n.port, Version: n.binaries.version,
		CAFile: filepath.Join(n.home, caFile), LogFile: filepath.Join(n.home, logFile),
		AdminUser: adminUser, AdminPassword: string(password),
	}, nil
}

// moveIn takes a home: a new one in the cache, or the folder that the caller wants to keep.
func (n *native) moveIn(ctx context.Context, c cache) (err error) {
	if n.temporary {
		n.home, n.lock, err = c.newHome(ctx)
		return err
	}
	if err = makeFolder(n.home); err != nil {
		return err
	}
	if n.lock, err = tryLock(filepath.Join(n.home, "lock")); err != nil {
		return fmt.Errorf("data folder %s is in use: %w", n.home, err)
	}
	awaitOrphan(filepath.Join(n.home, dataFolder))
	return nil
}

// certify makes new certificates.
func (n *native) certify() error {
	certificates, err := pki.NewCertificates("localhost", "127.0.0.1", "::1")
	if err != nil {
		return err
	}
	data := filepath.Join(n.home, dataFolder)
	ca := filepath.Join(n.home, caFile)
	if err = os.WriteFile(ca, certificates.CA, 0o600); err == nil {
		err = os.Chmod(ca, 0o644) //nolint:gosec // every client reads it; after the umask
	}
	return errors.Join(err,
		n.account.writeFile(filepath.Join(data, "server.crt"), certificates.Certificate),
		n.account.writeFile(filepath.Join(data, "server.key"), certificates.Key))
}

// firstStart starts the server on the wanted port, or on one free port after another: between our look and the
// server's bind somebody else may take it.
func (n *native) firstStart(ctx context.Context) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		n.port = n.options.Port
		if n.port == 0 {
			port, err := FreePort(ctx)
			if err != nil {
				return err
			}
			n.port = port
		}
		if err := n.configure(); err != nil {
			return err
		}
		err := n.Restart(ctx)
		if err == nil || n.options.Port != 0 || attempt == attempts || !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

// configure writes postgresql.conf and pg_hba.conf over initdb's.
func (n *native) configure() error {
	text, err := recipe.Configuration(host, n.port, n.options.Durable, n.options.Settings)
	if err != nil {
		return err
	}
	data := filepath.Join(n.home, dataFolder)
	hba := recipe.HBA(n.options.HBA, "127.0.0.1/32", "::1/128")
	return errors.Join(n.account.writeFile(filepath.Join(data, "postgresql.conf"), []byte(text)),
		n.account.writeFile(filepath.Join(data, "pg_hba.conf"), []byte(hba)))
}

// FreePort finds a port of 127.0.0.1 between 20000 and 32000: below those that Linux (from 32768) and macOS (from 49152) give to
// outgoing connections, one of which could take the port between the two halves of a Restart.
func FreePort(ctx context.Context) (int, error) {
	const attempts = 100
	var random [2]byte
	for range attempts {
		_, _ = rand.Read(random[:]) // never fails
		port := 20000 + int(binary.BigEndian.Uint16(random[:]))%12000
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port between 20000 and 32000 in %d attempts", attempts)
}

// Stop implements Control.
func (n *native) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lock == nil {
		return nil
	}
	err := n.end(fast)
	if n.temporary {
		err = errors.Join(err, os.RemoveAll(n.home))
	}
	unlock(n.lock)
	n.lock = nil
	return err
}

// Restart implements Control.
func (n *native) Restart(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lock == nil {
		return errors.New("restart: the server was stopped for good")
	}
	if err := n.end(fast); err != nil {
		return err
	}
	return n.launch(ctx)
}

// Kill implements Control.
func (n *native) Kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.end(immediate)
}

// Pause implements Control.
func (n *native) Pause() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.freeze()
}

// Resume implements Control.
func (n *native) Resume() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.thaw()
}
