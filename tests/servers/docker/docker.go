// Package docker gives PostgreSQL servers out of the official images, through testcontainers-go. It is for tests alone
// (testcontainers-go links package testing); ask [Answers] first. The container ends with the process that started it:
// testcontainers-go's reaper sees to that.
package docker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"dbsts/tests/servers"
	"dbsts/tests/servers/internal/recipe"
	"dbsts/tests/servers/pki"
)

const (
	inside      = 5432             // the port in the container
	stopTimeout = 30 * time.Second // for Stop, Kill, Pause, which take no context
)

// boot gives the TLS files, which are copied in as root's, to the server's user. They cannot lie in the data folder, where
// they are looked for by default: the image's entry point runs initdb, which wants that folder empty.
const boot = `install -o postgres -m 0600 /dbsts/server.key /dbsts/server.crt /var/run/postgresql/ &&
exec docker-entrypoint.sh postgres -c config_file=/dbsts/postgresql.conf -c hba_file=/dbsts/pg_hba.conf`

// pg is one container.
type pg struct {
	mu        sync.Mutex
	container *testcontainers.DockerContainer
	client    *testcontainers.DockerClient
	server    *servers.Server
	folder    string // CA and log
	log       *os.File
	stopped   bool
}

// Start gives a server like servers.Start. It knows no DataDir. In the container a client's address is Docker's gateway,
// so lines of Options.HBA must not depend on it.
func Start(ctx context.Context, options servers.Options) (_ *servers.Server, err error) {
	if options.DataDir != "" {
		return nil, errors.New("docker: a data folder to keep is for server binaries alone")
	}
	p := &pg{}
	defer func() {
		if r := recover(); r != nil { // testcontainers-go panics where it finds no engine
			err = fmt.Errorf("docker: %v", r)
		}
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	if options.Version == "" {
		options.Version = strconv.Itoa(servers.Newest)
	}
	if p.client, err = testcontainers.NewDockerClientWithOpts(ctx); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	host, err := daemonHost(ctx)
	if err != nil {
		return nil, err
	}
	if options.Port == 0 { // a fixed one, as Docker's own choice would change with a Restart
		if options.Port, err = servers.FreePort(ctx); err != nil {
			return nil, err
		}
	}
	p.server = &servers.Server{
		Control: p, Host: host, Port: options.Port,
		AdminUser: "postgres", AdminPassword: rand.Text(),
	}
	files, err := p.files(options)
	if err != nil {
		return nil, err
	}
	life, started := bounded(ctx)
	defer started()
	p.container, err = testcontainers.Run(life, "postgres:"+options.Version,
		testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": p.server.AdminPassword, "POSTGRES_INITDB_ARGS": "--no-locale --encoding=UTF8"}),
		testcontainers.WithFiles(files...),
		testcontainers.WithEntrypoint("sh", "-c", boot),
		testcontainers.WithExposedPorts(fmt.Sprintf("%d/tcp", inside)),
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) { publish(c, host, options.Port) }),
		testcontainers.WithLogConsumers(p))
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	if p.server.Version, err = servers.AwaitLogin(ctx, p.server); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	return p.server, nil
}

// daemonHost returns where published ports appear.
func daemonHost(ctx context.Context) (string, error) {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", fmt.Errorf("docker: %w", err)
	}
	host, err := provider.DaemonHost(ctx)
	if err = errors.Join(err, provider.Close()); err != nil {
		return "", fmt.Errorf("docker: find the engine's host: %w", err)
	}
	if host == "localhost" {
		host = "127.0.0.1" // never ::1, where another server may listen
	}
	return host, nil
}

// publish maps the port: for this machine alone where the engine runs on it.
func publish(c *container.HostConfig, host string, port int) {
	address := netip.IPv4Unspecified()
	if host == "127.0.0.1" {
		address = netip.MustParseAddr(host)
	}
	binding := network.PortBinding{HostIP: address, HostPort: strconv.Itoa(port)}
	c.PortBindings = network.PortMap{network.MustParsePort(fmt.Sprintf("%d/tcp", inside)): {binding}}
}

// files makes the folder with CA and log on our side, and the files for the container.
func (p *pg) files(o servers.Options) (files []testcontainers.ContainerFile, err error) {
	certificates, err := pki.NewCertificates("localhost", "127.0.0.1", "::1", p.server.Host)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{"ssl_cert_file": "/var/run/postgresql/server.crt", "ssl_key_file": "/var/run/postgresql/server.key"}
	for name, value := range o.Settings {
		settings[name] = value
	}
	// The image's entry point sets up the first start through the socket of its default folder.
	settings["unix_socket_directories"] = "/var/run/postgresql"
	configuration, err := recipe.Configuration("*", inside, o.Durable, settings)
	if err != nil {
		return nil, err
	}
	hba := "local all postgres scram-sha-256\n" + recipe.HBA(o.HBA, "all")

	if p.folder, err = os.MkdirTemp("", "dbsts-postgres-"); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	p.server.CAFile = filepath.Join(p.folder, "ca.pem")
	p.server.LogFile = filepath.Join(p.folder, "postgresql.log")
	if err = os.WriteFile(p.server.CAFile, certificates.CA, 0o600); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	if p.log, err = os.OpenFile(p.server.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	file := func(name string, content []byte, mode int64) testcontainers.ContainerFile {
		return testcontainers.ContainerFile{Reader: bytes.NewReader(content), ContainerFilePath: "/dbsts/" + name, FileMode: mode}
	}
	return []testcontainers.ContainerFile{
		file("server.key", certificates.Key, 0o600), file("server.crt", certificates.Certificate, 0o644),
		file("postgresql.conf", []byte(configuration), 0o644), file("pg_hba.conf", []byte(hba), 0o644),
	}, nil
}

// bounded returns a context that ends with ctx only until started is called: the container's log is read under it.
func bounded(ctx context.Context) (life context.Context, started func()) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	return life, func() { stop() }
}

// Accept implements testcontainers.LogConsumer.
func (p *pg) Accept(l testcontainers.Log) { _, _ = p.log.Write(l.Content) }

// Stop implements servers.Control.
func (p *pg) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	p.stopped = true
	var err error
	if p.container != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		p.thaw(ctx)
		err = p.container.Terminate(ctx)
	}
	if p.log != nil {
		err = errors.Join(err, p.log.Close())
	}
	if p.folder != "" {
		err = errors.Join(err, os.RemoveAll(p.folder))
	}
	if p.client != nil {
		err = errors.Join(err, p.client.Close())
	}
	return err
}

// Restart implements servers.Control.
func (p *pg) Restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thaw(ctx)
	if err := p.container.Stop(ctx, nil); err != nil { // the image's stop signal is SIGINT: fast shutdown
		return fmt.Errorf("docker: %w", err)
	}
	if err := p.log.Truncate(0); err != nil { // the engine tells the whole log again
		return fmt.Errorf("docker: %w", err)
	}
	life, started := bounded(ctx)
	defer started()
	if err := p.container.Start(life); err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	_, err := servers.AwaitLogin(ctx, p.server)
	return err
}

// Kill implements servers.Control: SIGQUIT is PostgreSQL's immediate shutdown.
func (p *pg) Kill() error {
	return p.ask(func(ctx context.Context, id string) error {
		p.thaw(ctx)
		gone := p.client.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		if _, err := p.client.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGQUIT"}); err != nil {
			return err
		}
		select {
		case err := <-gone.Error:
			return err
		case <-gone.Result:
			return nil
		}
	})
}

// Pause implements servers.Control.
func (p *pg) Pause() error {
	return p.ask(func(ctx context.Context, id string) error {
		_, err := p.client.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

// Resume implements servers.Control.
func (p *pg) Resume() error {
	return p.ask(func(ctx context.Context, id string) error {
		_, err := p.client.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

func (p *pg) ask(do func(ctx context.Context, id string) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := do(ctx, p.container.GetContainerID()); err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	return nil
}

// thaw resumes a paused container, as an engine does not stop one; that another was not paused is no error.
func (p *pg) thaw(ctx context.Context) {
	_, _ = p.client.ContainerUnpause(ctx, p.container.GetContainerID(), client.ContainerUnpauseOptions{})
}
