// Command localstack runs dbsts on this machine from the binaries of `make build`: no Docker, no AWS.
//
//	up [-config file]                     the whole stack, until interrupted; scripts read .local/env
//	demo                                  a guided tour of a stack of its own, in .local/demo
//	invoke Id [-e file] [-env-vars file]  one event for one function, configured by $DBSTS_CONFIG or the stack that is up
//
// It assumes that it runs in the repository's folder. It is for this machine's users only: its issuer gives anybody any token.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, append(os.Args, "")[1], os.Args[min(2, len(os.Args)):]); err != nil {
		fmt.Fprintln(os.Stderr, "localstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, args []string) error {
	id, config, log := "", "", os.Stderr
	dir, err := filepath.Abs(".local")
	err = errors.Join(err, os.MkdirAll(dir+"/demo", 0o700))
	switch {
	case err == nil && command == "demo": // does not disturb a stack that is up
		dir += "/demo"
		log, err = os.Create(dir + "/functions.log") // #nosec G304 -- a name of our own
	case command == "invoke" && len(args) > 0:
		id, args, config = args[0], args[1:], os.Getenv("DBSTS_CONFIG")
	}
	s := &stack{dir: dir, functions: map[string]*runtime.Function{}}
	parameters := map[string]string{"ConfigFile": cmp.Or(config, dir+"/config.yaml")}
	env, event := map[string]map[string]string{}, json.RawMessage("{}")
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.StringVar(&s.more, "config", "", "up: add the issuers, servers and targets of this configuration `file`; $NAMES of .local/env are filled in")
	for name, into := range map[string]any{"e": &event, "env-vars": &env, "parameters": &parameters} {
		flags.Func(name, "JSON `file`; formats are those of `sam local invoke` and {\"parameter of template.yaml\": \"value\"}", func(path string) error {
			raw, readErr := os.ReadFile(path) // #nosec G304 -- the user names the file
			if readErr != nil {
				return readErr
			}
			return json.Unmarshal(raw, into)
		})
	}
	if err = errors.Join(err, flags.Parse(args)); err != nil {
		return err
	}
	if s.template, err = template.Load("template.yaml", parameters, env); err != nil {
		return err
	}
	for id, f := range s.template {
		binary, _ := filepath.Abs("bin/" + strings.ToLower(strings.TrimSuffix(id, "Function")) + "/bootstrap") // worked above
		s.functions[id] = &runtime.Function{
			Name: id, Binary: binary, Env: f.Environment.Variables, Timeout: time.Duration(f.Timeout) * time.Second,
			Memory: f.Memory, Limit: f.Concurrency, Log: log,
		}
		defer s.functions[id].Close()
	}
	switch {
	case command == "up":
		return s.start(ctx, s.up)
	case command == "demo":
		return s.start(ctx, s.demo)
	case command == "invoke" && s.functions[id] != nil:
		answer, err := s.functions[id].Invoke(ctx, event)
		fmt.Println(string(answer))
		return err
	}
	return errors.New("say up, demo or invoke Id")
}

// start brings everything up, hands it to use, and takes everything down again.
func (s *stack) start(ctx context.Context, use func(context.Context) error) error {
	routes := gateway.Routes{}
	for id, f := range s.template {
		for _, event := range f.Events {
			routes[strings.ToUpper(event.Properties.Method)+" "+event.Properties.Path] = s.functions[id].Invoke
		}
	}
	certificate, certificateErr := gateway.NewCertificate()
	url, urlErr := certificate.Serve(ctx, func(string) (http.Handler, error) { return routes, nil })
	iss, issErr := certificate.Serve(ctx, func(url string) (http.Handler, error) { return issuer.Handler(url, "dbsts-local") })
	if err := errors.Join(certificateErr, urlErr, issErr); err != nil {
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
	if err = errors.Join(err, s.configure(certificate.PEM)); err != nil {
		return err
	}
	// The migrate function makes the schema; then the shop, its catalogue and its rules can refer to it.
	_, err = s.tick(ctx, "MigrateFunction")
	seed, readErr := os.ReadFile("localstack/seed.sql")
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	if _, err = execute(ctx, s.env["DBSTS_ADMIN_DSN"], "SET local.issuer = '"+iss+"';"+string(seed)); err != nil {
		return err
	}
	return use(ctx)
}

// configure writes what functions and scripts read.
func (s *stack) configure(root []byte) error {
	config, err := s.configuration()
	files := map[string]string{
		"ca.pem": string(root), "config.yaml": os.Expand(string(config), func(name string) string { return s.env[name] }),
		"exchange.password": rand.Text(), "revoke.password": rand.Text(), "sweep.password": rand.Text(),
		"migrate.password": s.env["DBSTS_ADMIN_PASSWORD"],
	}
	for name, value := range s.env {
		files["env"] += fmt.Sprintf("export %s='%s'\n", name, value)
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
					_, _ = s.tick(ctx, id) // the next one heals it; its log says why
				}
			}()
		}
	}
	fmt.Printf("dbsts is up at %s; `. %s/env` tells scripts; Ctrl-C ends it\n", s.env["DBSTS_URL"], s.dir)
	for parent := os.Getppid(); ctx.Err() == nil && os.Getppid() == parent; time.Sleep(time.Second / 4) {
	} // `go run` passes Ctrl-C on, but dies of other signals alone
	return nil
}

// tick hands a function the event of its schedule, or {} where it has none, and returns its answer.
func (s *stack) tick(ctx context.Context, id string) (string, error) {
	input := "{}"
	for _, event := range s.template[id].Events {
		input = cmp.Or(event.Properties.Input, input)
	}
	input = strings.NewReplacer("<aws.scheduler.scheduled-time>", time.Now().UTC().Format(time.RFC3339),
		"<aws.scheduler.execution-id>", rand.Text(), "<aws.scheduler.attempt-number>", "1").Replace(input)
	answer, err := s.functions[id].Invoke(ctx, []byte(input))
	return string(answer), err
}
