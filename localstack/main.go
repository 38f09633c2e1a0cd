// Command localstack runs dbsts on this machine from the binaries of `make build`: no Docker, no AWS. See usage.txt.
//
// It assumes that it runs in the repository's folder. It is for this machine's users only: its issuer gives anybody any token.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed" // usage.txt
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"dbsts/localstack/gateway"
	"dbsts/localstack/issuer"
	"dbsts/localstack/runtime"
	"dbsts/localstack/template"
	"dbsts/tests/servers"
)

// stack is PostgreSQL, an issuer, and the functions behind an HTTPS gateway.
type stack struct {
	dir, more  string // all state, replaced at each start; a configuration file whose lists are added to ours
	template   template.Functions
	functions  map[string]*runtime.Function
	env        map[string]string // what scripts need to know; also written to dir/env
	client     *http.Client      // trusts gateway and issuer
	background atomic.Value      // output of the tour's background command
}

//go:embed usage.txt
var usage string
var errUp, nothing = errors.New("already up"), []byte("{}") // no function reads the event of its schedule

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, append(os.Args, "")[1], os.Args[min(2, len(os.Args)):]); errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "localstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, args []string) error {
	id, config, log := "", "", os.Stderr
	dir, err := filepath.Abs(".local")
	s := &stack{dir: dir, functions: map[string]*runtime.Function{}}
	use := map[string]func(context.Context) error{"up": s.up, "demo": s.demo}[command]
	switch {
	case command == "demo": // does not disturb a stack that is up
		s.dir += "/demo"
	case command == "invoke" && len(args) > 0 && args[0] != "-h":
		id, args, config = args[0], args[1:], os.Getenv("DBSTS_CONFIG")
	}
	parameters := map[string]string{"ConfigFile": cmp.Or(config, s.dir+"/config.yaml")}
	env, event := map[string]map[string]string{}, json.RawMessage("{}")
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.more, "config", "", "")
	for name, into := range map[string]any{"e": &event, "env-vars": &env, "parameters": &parameters} {
		flags.Func(name, "", func(path string) error {
			raw, readErr := os.ReadFile(path) // #nosec G304 -- the user names the file
			return cmp.Or(readErr, json.Unmarshal(raw, into))
		})
	}
	if err = cmp.Or(err, flags.Parse(args)); err != nil || strings.HasPrefix("help", cmp.Or(strings.TrimLeft(command, "-"), "none")) {
		return cmp.Or(err, flag.ErrHelp)
	}
	if s.template, err = template.Load("template.yaml", parameters, env); err != nil {
		return err
	}
	switch _, known := s.template[id]; {
	case use == nil && (command != "invoke" || !known), flags.NArg() > 0:
		return fmt.Errorf("no such command or function: %q\n\n%s", strings.Join(append([]string{command, id}, flags.Args()...), " "), usage)
	case use != nil:
		err = hold(s.dir)
	case config == "" && !errors.Is(hold(s.dir), errUp):
		err = errors.New("the local stack is not up: run make local")
	}
	if err == nil && command == "demo" {
		log, err = os.Create(s.dir + "/functions.log") // #nosec G304 -- a name of our own
	}
	if err != nil {
		return err
	}
	for id, f := range s.template {
		binary, pathErr := filepath.Abs("bin/" + strings.ToLower(strings.TrimSuffix(id, "Function")) + "/bootstrap")
		if _, statErr := os.Stat(binary); cmp.Or(pathErr, statErr) != nil {
			return fmt.Errorf("%s is not built: run make build first", id)
		}
		s.functions[id] = &runtime.Function{
			Name: id, Binary: binary, Env: f.Environment.Variables, Timeout: time.Duration(f.Timeout) * time.Second,
			Memory: f.Memory, Limit: f.Concurrency, Log: log,
		}
		defer s.functions[id].Close()
	}
	if use != nil {
		return s.start(ctx, use)
	}
	answer, err := s.functions[id].Invoke(ctx, event)
	fmt.Println(string(answer))
	return err
}

// hold makes dir this process's own until it ends (flock(2)). errUp: it is another's.
func hold(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	fd, openErr := syscall.Open(dir+"/lock", syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err = cmp.Or(err, openErr); err == nil && syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		pid, _ := os.ReadFile(dir + "/lock") // #nosec G304 -- a name of our own
		return fmt.Errorf("%w (pid %s)", errUp, pid)
	}
	return cmp.Or(err, os.WriteFile(dir+"/lock", []byte(strconv.Itoa(os.Getpid())), 0o600))
}

// start brings everything up, hands it to use, and takes everything down again.
func (s *stack) start(ctx context.Context, use func(context.Context) error) error {
	config, configErr := s.configuration() // before anything is written
	seed, seedErr := os.ReadFile("localstack/seed.sql")
	routes := gateway.Routes{}
	for id, f := range s.template {
		for _, event := range f.Events {
			routes[strings.ToUpper(event.Properties.Method)+" "+event.Properties.Path] = s.functions[id].Invoke
		}
	}
	certificate, certificateErr := gateway.NewCertificate()
	url, urlErr := certificate.Serve(ctx, func(string) (http.Handler, error) { return routes, nil })
	iss, issErr := certificate.Serve(ctx, func(url string) (http.Handler, error) { return issuer.Handler(url, "dbsts-local") })
	if err := errors.Join(configErr, seedErr, certificateErr, urlErr, issErr); err != nil {
		return err
	}
	server, err := servers.Start(ctx, servers.Options{Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	s.client, s.env = certificate.Client(), map[string]string{
		"DBSTS_URL": url, "DBSTS_ISSUER": iss, "DBSTS_AUDIENCE": "dbsts-local", "DBSTS_TARGET": "shop", "PGDATABASE": "shop",
		"DBSTS_CA": s.dir + "/ca.pem", "DBSTS_CONFIG": s.dir + "/config.yaml", "DBSTS_ADMIN_DSN": server.AdminDSN("shop"),
		"DBSTS_ADMIN": server.AdminUser, "DBSTS_ADMIN_PASSWORD": server.AdminPassword,
		"PGHOST": server.Host, "PGPORT": strconv.Itoa(server.Port), "PGSSLMODE": "verify-full", "PGSSLROOTCERT": server.CAFile,
	}
	_, err = execute(ctx, server.AdminDSN("postgres"), "CREATE DATABASE shop")
	if err = errors.Join(err, s.configure(config, certificate.PEM)); err != nil {
		return err
	}
	// The migrate function makes the schema; then the shop, its catalogue and its rules can refer to it.
	if _, err = s.functions["MigrateFunction"].Invoke(ctx, nothing); err != nil {
		return err
	}
	if _, err = execute(ctx, s.env["DBSTS_ADMIN_DSN"], "SET local.issuer = '"+iss+"';"+string(seed)); err != nil {
		return err
	}
	if err = os.Rename(s.dir+"/env.new", s.dir+"/env"); err != nil {
		return err
	}
	return use(ctx)
}

// configure writes what the functions read, and what scripts may read when all is up.
func (s *stack) configure(config, root []byte) error {
	err := os.RemoveAll(s.dir + "/env")
	files := map[string]string{
		"ca.pem": string(root), "config.yaml": os.Expand(string(config), func(name string) string { return cmp.Or(s.env[name], "$"+name) }),
		"exchange.password": rand.Text(), "revoke.password": rand.Text(), "sweep.password": rand.Text(),
		"migrate.password": s.env["DBSTS_ADMIN_PASSWORD"],
	}
	for name, value := range s.env {
		files["env.new"] += fmt.Sprintf("export %s='%s'\n", name, value)
	}
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(s.dir+"/"+name, []byte(text), 0o600))
	}
	return err
}

// configuration is localstack/config.yaml with the lists of the caller's own file added to it.
func (s *stack) configuration() ([]byte, error) {
	base, err := os.ReadFile("localstack/config.yaml")
	if err != nil || s.more == "" {
		return base, err
	}
	extra, err := os.ReadFile(s.more)
	ours, theirs := map[string]any{}, map[string][]any{}
	err = errors.Join(err, yaml.Unmarshal(base, &ours), yaml.Unmarshal(extra, &theirs))
	for name, list := range theirs {
		mine, _ := ours[name].([]any) // a list that we do not have is theirs alone
		ours[name] = append(mine, list...)
	}
	text, encodeErr := yaml.Marshal(ours)
	return text, errors.Join(err, encodeErr)
}

// execute runs statements and returns what they answer, as text.
func execute(ctx context.Context, dsn, sql string) (output string, err error) {
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer db.Close(context.WithoutCancel(ctx))
	results, err := db.PgConn().Exec(ctx, sql).ReadAll()
	for _, result := range results {
		output += fmt.Sprintf("%s\n%s\n", result.Rows, result.CommandTag)
	}
	return output, err
}

// up runs the schedules until ctx or our parent process ends. A tick that comes while the last one runs is dropped.
func (s *stack) up(ctx context.Context) error {
	for id, f := range s.template {
		for _, event := range f.Events {
			var minutes int // the only unit that the template allows
			if event.Type != "ScheduleV2" {
				continue
			} else if _, err := fmt.Sscanf(event.Properties.Schedule, "rate(%d minute", &minutes); err != nil || minutes < 1 {
				return fmt.Errorf("schedule of %s: %q is not rate(n minutes)", id, event.Properties.Schedule)
			}
			go func() {
				for range time.Tick(time.Duration(minutes) * time.Minute) {
					_, _ = s.functions[id].Invoke(ctx, nothing) // the next one heals it; its log says why
				}
			}()
		}
	}
	fmt.Printf("dbsts is up at %s; `. %s/env` tells scripts; Ctrl-C ends it\n", s.env["DBSTS_URL"], s.dir)
	for parent := os.Getppid(); ctx.Err() == nil && os.Getppid() == parent; time.Sleep(time.Second / 4) {
	} // `go run` passes Ctrl-C on, but dies of other signals alone
	return nil
}
