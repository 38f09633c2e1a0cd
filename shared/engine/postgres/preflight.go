package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/engine"
)

// oldest is the first release that installs, as server_version_num.
const oldest = 130000

// modernVersion is PostgreSQL 16, where only a role's creator may alter it and memberships have options.
const modernVersion = 160000

// manyCreators is how many roles share the making of logins where a creator slows down with the logins it has made
// (PostgreSQL 16+; measured in design §5). Before that, one is enough.
const manyCreators = 64

// facts is what an install must know about server and administrator.
type facts struct {
	user         string
	version      string
	number       int
	superuser    bool
	createRole   bool
	createHere   bool   // CREATE on the home database
	installation string // UUID: that of the installation found, or a new one
	schema       bool   // the home database has a schema dbsts
	known        bool   // the server has a role dbsts_owner
	rds          bool   // member of rds_superuser, which may grant predefined roles without ADMIN OPTION
}

func (f facts) modern() bool { return f.number >= modernVersion }

func (f facts) creators() int {
	if f.modern() {
		return manyCreators
	}
	return 1
}

// MissingError lists what the administrator must be given before an install can work.
type MissingError struct {
	Rights []Missing
}

// Missing is one right and the statement that gives it.
type Missing struct {
	Right     string
	Statement string
}

func (e *MissingError) Error() string {
	lines := make([]string, 0, len(e.Rights))
	for _, m := range e.Rights {
		lines = append(lines, m.Right+": "+m.Statement)
	}
	return "rights are missing: " + strings.Join(lines, " | ")
}

// Unwrap makes errors.Is(err, engine.ErrMisconfigured) hold.
func (e *MissingError) Unwrap() error { return engine.ErrMisconfigured }

// preflight reads the facts and refuses, with the whole list, what would fail halfway.
func (i *installer) preflight(ctx context.Context) error {
	if err := i.readFacts(ctx); err != nil {
		return err
	}
	f := i.facts
	if f.number < oldest {
		return fmt.Errorf("%w: PostgreSQL %s is too old: 13 is the oldest supported", engine.ErrMisconfigured, f.version)
	}
	if f.known != f.schema {
		return fmt.Errorf("%w: this server already has a dbsts installation with another home database, or the remains of one", engine.ErrMisconfigured)
	}
	missing, err := i.missingRights(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingError{Rights: missing}
	}
	return nil
}

func (i *installer) readFacts(ctx context.Context) error {
	f := &i.facts
	err := i.tx.QueryRow(ctx, `
		SELECT r.rolname, current_setting('server_version'), current_setting('server_version_num')::int, r.rolsuper, r.rolcreaterole,
		       has_database_privilege(current_database(), 'CREATE'),
		       coalesce(substring(shobj_description(to_regrole('dbsts_owner'), 'pg_authid') FROM '^dbsts:([0-9a-f-]{36}):dbsts_owner$'),
		                gen_random_uuid()::text),
		       to_regnamespace('dbsts') IS NOT NULL, to_regrole('dbsts_owner') IS NOT NULL,
		       to_regrole('rds_superuser') IS NOT NULL AND pg_has_role(to_regrole('rds_superuser'), 'MEMBER')
		FROM pg_roles r WHERE r.rolname = current_user`).
		Scan(&f.user, &f.version, &f.number, &f.superuser, &f.createRole, &f.createHere, &f.installation, &f.schema, &f.known, &f.rds)
	if err != nil {
		return fmt.Errorf("read facts: %w", err)
	}
	return nil
}

func (i *installer) missingRights(ctx context.Context) ([]Missing, error) {
	f := i.facts
	me, home := pgx.Identifier{f.user}.Sanitize(), pgx.Identifier{i.server.Home}.Sanitize()
	missing, err := i.missingConnects(ctx, me)
	if err != nil || f.superuser {
		return missing, err
	}
	if !f.createRole {
		missing = append(missing, Missing{"CREATEROLE", "ALTER ROLE " + me + " CREATEROLE;"})
	}
	if !f.createHere {
		missing = append(missing, Missing{"CREATE on the home database", "GRANT CREATE ON DATABASE " + home + " TO " + me + ";"})
	}
	if !f.modern() {
		return missing, nil // there CREATEROLE may grant every role
	}
	foreign, err := i.foreignRoles(ctx)
	if err != nil {
		return nil, err
	}
	if foreign != "" {
		missing = append(missing, Missing{
			"ADMIN OPTION on the roles of the installation, which somebody else made",
			"GRANT " + foreign + " TO " + me + " WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;",
		})
	}
	if f.rds {
		return missing, nil // rds_superuser may grant these
	}
	for _, role := range []string{"pg_signal_backend", "pg_read_all_stats"} {
		var admin bool
		if err := i.tx.QueryRow(ctx, "SELECT pg_has_role($1::name, 'MEMBER WITH ADMIN OPTION')", role).Scan(&admin); err != nil {
			return nil, fmt.Errorf("read rights on %s: %w", role, err)
		}
		if !admin {
			missing = append(missing, Missing{"ADMIN OPTION on " + role, "GRANT " + role + " TO " + me + " WITH ADMIN OPTION;"})
		}
	}
	return missing, nil
}

// missingConnects are the databases, each once, that are not there or that the administrator cannot let our roles into.
func (i *installer) missingConnects(ctx context.Context, me string) ([]Missing, error) {
	databases := []string{i.server.Home}
	for _, t := range i.targets {
		databases = append(databases, t.Database)
	}
	slices.Sort(databases)
	var missing []Missing
	for _, database := range slices.Compact(databases) {
		name := pgx.Identifier{database}.Sanitize()
		var grantable bool
		err := i.tx.QueryRow(ctx, `
			SELECT has_database_privilege(oid, 'CONNECT WITH GRANT OPTION') FROM pg_database WHERE datname = $1`, database).Scan(&grantable)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			missing = append(missing, Missing{"database " + database + ", which a target names", "CREATE DATABASE " + name + ";"})
		case err != nil:
			return nil, fmt.Errorf("read rights on database %s: %w", database, err)
		case !grantable:
			missing = append(missing, Missing{
				"CONNECT WITH GRANT OPTION on database " + database, "GRANT CONNECT ON DATABASE " + name + " TO " + me + " WITH GRANT OPTION;",
			})
		}
	}
	return missing, nil
}

// foreignRoles lists the roles of the installation that another administrator made and this one may not alter.
func (i *installer) foreignRoles(ctx context.Context) (string, error) {
	var list string
	err := i.tx.QueryRow(ctx, `
		SELECT coalesce(string_agg(quote_ident(rolname), ', ' ORDER BY rolname), '') FROM pg_roles
		WHERE shobj_description(oid, 'pg_authid') LIKE 'dbsts:' || $1 || ':%' AND rolname !~ '^dbsts_[a-z2-7]{26}$'
		  AND NOT pg_has_role(oid, 'MEMBER WITH ADMIN OPTION')`, i.facts.installation).Scan(&list)
	if err != nil {
		return "", fmt.Errorf("read rights on the installation's roles: %w", err)
	}
	return list, nil
}
