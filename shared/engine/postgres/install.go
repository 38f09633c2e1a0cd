package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/shared/config"
	"dbsts/shared/engine"
)

// Installation says what an install found and did.
type Installation struct {
	Server   string   `json:"server"`
	ID       string   `json:"installation"` // UUID
	Version  string   `json:"server_version"`
	Applied  []string `json:"applied"` // migrations applied by this run
	Targets  []string `json:"targets"`
	Creators int      `json:"creators"`
}

// installTries bounds how often two installs that meet each other start again.
const installTries = 8

// installTimeout bounds one whole install; most of it is the making of roles.
const installTimeout = 60 * time.Second

// Install makes or renews everything dbsts needs on one server, in one transaction: roles, schema, migrations, routines,
// logins and rights. Repeating it is harmless, and two at once take turns. It runs as the server's migrate login, a
// superuser or an administrator with CREATEROLE; a *MissingError names each right that he lacks. Nothing is left half done.
func Install(ctx context.Context, server config.Server, targets []config.Target) (Installation, error) {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	conn, err := connectAdmin(ctx, server)
	if err != nil {
		return Installation{}, fmt.Errorf("install on %s: %w", server.Name, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	surprised := false
	for try := 1; ; try++ {
		i := &installer{server: server}
		for _, t := range targets {
			if t.Server == server.Name {
				i.targets = append(i.targets, t)
			}
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			i.tx = tx
			return i.run(ctx)
		})
		if err == nil {
			return i.report(), nil
		}
		again := meeting(err)
		if sqlstate(err) == codeForeign && !i.facts.known && !surprised {
			again, surprised = true, true // a first install may have come between our look at the server and our first step
		}
		if try == installTries || !again || !pause(ctx, try+2) {
			return Installation{}, explain(server, err)
		}
	}
}

// connectAdmin connects as the migrate login.
func connectAdmin(ctx context.Context, server config.Server) (*pgx.Conn, error) {
	login := server.Logins.Migrate
	if login.User == "" {
		return nil, fmt.Errorf("%w: logins.migrate is not configured", engine.ErrMisconfigured)
	}
	cfg, err := connConfig(server, login, server.Home)
	if err != nil {
		return nil, err
	}
	password, err := login.Password()
	if err != nil {
		return nil, err
	}
	cfg.Password = password.Reveal()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, classify(err)
	}
	return conn, nil
}

// installer is one try of an install.
type installer struct {
	tx      pgx.Tx
	server  config.Server
	targets []config.Target
	facts   facts
	applied []string
}

// run is the whole install, in order.
func (i *installer) run(ctx context.Context) error {
	steps := []func(context.Context) error{
		i.prepare,
		i.preflight,
		i.settings,
		i.file("sql/install/1_roles.sql"),
		i.actAsOwners,
		i.file("sql/install/2_schemas.sql"),
		i.openSchemas,
		i.file("sql/install/3_version.sql"),
		i.migrate,
		i.file("sql/install/4_home.sql"),
		i.file("sql/install/5_targets.sql"),
		i.admin("sql/install/6_connect.sql"),
		i.routines,
		i.admin("sql/install/8_logins.sql"),
		i.file("sql/install/9_privileges.sql"),
		i.closeSchemas,
		i.leaveOwners,
	}
	for _, next := range steps {
		if err := next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the transaction independent of the administrator's own settings.
func (i *installer) prepare(ctx context.Context) error {
	return i.exec(ctx, `
		SET LOCAL search_path = pg_catalog, pg_temp;
		SET LOCAL lock_timeout = '1s';
		SET LOCAL client_min_messages = warning;
		SET LOCAL check_function_bodies = on`)
}

// settings hands the values of this install to the SQL files, as settings of the transaction.
func (i *installer) settings(ctx context.Context) error {
	type target struct {
		Name     string `json:"name"`
		Database string `json:"database"`
	}
	list := make([]target, 0, len(i.targets))
	for _, t := range i.targets {
		list = append(list, target{Name: t.Name, Database: t.Database})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode targets: %w", err)
	}
	values := map[string]string{
		"installation": i.facts.installation, "address": i.server.Address, "targets": string(text),
		"creators": fmt.Sprint(i.facts.creators()),
	}
	for function, login := range map[string]config.Login{
		"exchange": i.server.Logins.Exchange, "revoke": i.server.Logins.Revoke, "sweep": i.server.Logins.Sweep,
	} {
		password, perr := login.Password()
		if perr != nil {
			return perr
		}
		verifier, verr := scramVerifier(password, i.server.SCRAMIterations)
		if verr != nil {
			return verr
		}
		values[function+"_login"], values[function+"_verifier"] = login.User, verifier
	}
	for name, value := range values {
		if _, err := i.tx.Exec(ctx, "SELECT set_config($1, $2, true)", "dbsts."+name, value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// migrate applies what is new, as the role that owns it, and refuses a migration that was edited after it had been applied.
func (i *installer) migrate(ctx context.Context) error {
	for n, file := range files("sql/migrations") {
		text := read(file)
		if err := i.exec(ctx, "SET LOCAL ROLE "+ownerRole); err != nil {
			return err
		}
		var known string
		err := i.tx.QueryRow(ctx, "SELECT sha256 FROM dbsts.schema_version WHERE number = $1", n+1).Scan(&known)
		switch {
		case err == nil && known != checksum(text):
			return fmt.Errorf("%w: migration %s was edited after it had been applied", engine.ErrMisconfigured, file)
		case err == nil:
			continue
		case !errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("read schema version: %w", err)
		}
		if err = i.runAs(ctx, owner(file), file, text); err != nil {
			return err
		}
		if err = i.exec(ctx, "SET LOCAL ROLE "+ownerRole); err != nil {
			return err
		}
		_, err = i.tx.Exec(ctx, "INSERT INTO dbsts.schema_version (number, name, sha256) VALUES ($1, $2, $3)", n+1, file, checksum(text))
		if err != nil {
			return fmt.Errorf("record migration %s: %w", file, err)
		}
		i.applied = append(i.applied, file)
	}
	return i.exec(ctx, "RESET ROLE")
}

// routines puts every routine in place, whole, and pins the settings that it runs with.
func (i *installer) routines(ctx context.Context) error {
	pin := read("sql/install/7_settings.sql")
	for n := range i.facts.creators() {
		if err := i.runAs(ctx, creatorRole(n), "as_creator", creatorSQL(n)+pin); err != nil {
			return err
		}
	}
	for _, file := range routineFiles {
		if err := i.runAs(ctx, owner(file), file, read(file)); err != nil {
			return err
		}
	}
	for _, role := range []string{ownerRole, readerRole, signallerRole} {
		if err := i.runAs(ctx, role, "settings", pin); err != nil {
			return err
		}
	}
	return nil
}

func (i *installer) report() Installation {
	done := Installation{
		Server: i.server.Name, ID: i.facts.installation, Version: i.facts.version, Applied: append([]string{}, i.applied...), Creators: i.facts.creators(),
	}
	for _, t := range i.targets {
		done.Targets = append(done.Targets, t.Name)
	}
	return done
}

// meeting tells whether two installs met: one made a role, a schema or a row that the other was about to make.
func meeting(err error) bool {
	switch sqlstate(err) {
	case "42P06", "42P07", "42723": // duplicate schema, table, function
		return true
	case "":
		return false
	default:
		return retryable(err)
	}
}

// explain keeps the server's text: an administrator reads it, and no statement of an install holds more than a verifier,
// whose errors are replaced in the SQL.
func explain(server config.Server, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("install on %s: %w", server.Name, err)
	}
	hint := ""
	if pg.Hint != "" {
		hint = " (" + pg.Hint + ")"
	}
	what := engine.ErrMisconfigured
	if pg.Code == codeMisplaced {
		what = engine.ErrMisplaced
	}
	return fmt.Errorf("install on %s: %w: %w%s", server.Name, what, err, hint)
}
