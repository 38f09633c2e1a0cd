package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/engine"
	"dbsts/shared/engine/enginetest"
	"dbsts/tests/shop"
)

func (s *server) Row(ctx context.Context, grant string) (enginetest.Row, error) {
	var r enginetest.Row
	err := s.admin.QueryRow(ctx,
		"SELECT state, coalesce(cause, ''), coalesce(last_error, ''), attempts, max_sessions FROM dbsts.grants WHERE id = $1", grant).
		Scan(&r.State, &r.Cause, &r.LastError, &r.Attempts, &r.Sessions)
	if errors.Is(err, pgx.ErrNoRows) {
		return enginetest.Row{}, nil
	}
	return r, err
}

func (s *server) Events(ctx context.Context, identity string) ([]enginetest.Event, error) {
	rows, err := s.admin.Query(ctx,
		`SELECT coalesce(grant_id, '') AS "grant", event, outcome, coalesce(reason, '') AS reason FROM dbsts.audit WHERE identity = $1 ORDER BY id`, identity)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[enginetest.Event])
}

func (s *server) Backdate(ctx context.Context, grant string, by time.Duration) error {
	return errors.Join(
		s.exec(ctx, "UPDATE dbsts.grants SET issued_at = issued_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1", grant, by),
		s.exec(ctx, "UPDATE dbsts_api.claims SET expires_at = expires_at - $2::interval WHERE login = $1", engine.LoginName(grant), by))
}

func (s *server) Hurry(ctx context.Context, grant string) error {
	return s.exec(ctx, "UPDATE dbsts.grants SET next_attempt_at = clock_timestamp() WHERE id = $1", grant)
}

func (s *server) Forget(ctx context.Context, grant string) error {
	return s.exec(ctx, "DELETE FROM dbsts.grants WHERE id = $1", grant)
}

func (s *server) Exists(ctx context.Context, login string) (bool, error) {
	var exists bool
	err := s.admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", login).Scan(&exists)
	return exists, err
}

func (s *server) Remove(ctx context.Context, login string) error {
	return s.exec(ctx, "DROP ROLE "+quoted(login))
}

func (s *server) Plant(ctx context.Context) ([]string, error) {
	var ours string
	if err := s.admin.QueryRow(ctx, "SELECT 'dbsts:' || installation FROM dbsts.home").Scan(&ours); err != nil {
		return nil, err
	}
	ids := []string{engine.NewGrantID(), engine.NewGrantID(), engine.NewGrantID()}
	markers := map[string]string{
		engine.LoginName(ids[0]): "dbsts:00000000-0000-4000-8000-000000000000:" + ids[0],
		engine.LoginName(ids[1]): "",
		engine.LoginName(ids[2]): ours + ":" + ids[0], // of another login
		"dbsts_by_hand":          ours + ":by_hand",
		"x" + ids[0]:             ours + ":" + ids[0],
	}
	names := make([]string, 0, len(markers))
	for login, marker := range markers {
		err := s.exec(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN; COMMENT ON ROLE %[1]s IS '%s'; GRANT CONNECT ON DATABASE shop TO %[1]s", quoted(login), marker))
		if err != nil {
			return nil, err
		}
		names = append(names, login)
	}
	return names, nil
}

func (s *server) Release(ctx context.Context, login string) error {
	rows, err := s.admin.Query(ctx, "SELECT gid FROM pg_prepared_xacts WHERE owner = $1", login)
	if err != nil {
		return err
	}
	prepared, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, gid := range prepared {
		if err := s.Exec(ctx, shop.Database, "ROLLBACK PREPARED '"+gid+"'"); err != nil {
			return err
		}
	}
	return s.exec(ctx, "DROP OWNED BY "+quoted(login))
}

// rights lists what $1 may do: rights of its own, of PUBLIC, and of roles that it inherits. Temporary schemas come and go with sessions.
const rights = `
	SELECT p || ' on database ' || quote_ident(datname) FROM pg_database, unnest('{CONNECT,CREATE,TEMPORARY}'::text[]) p
	WHERE has_database_privilege($1, oid, p)
	UNION ALL
	SELECT p || ' on schema ' || quote_ident(nspname) FROM pg_namespace, unnest('{USAGE,CREATE}'::text[]) p
	WHERE nspname !~ '^pg_(toast_)?temp_' AND has_schema_privilege($1, oid, p)
	UNION ALL
	SELECT p || ' on table ' || c.oid::regclass FROM pg_class c, unnest($2::text[]) p
	WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relpersistence <> 't' AND has_table_privilege($1, c.oid, p)
	UNION ALL
	SELECT p || ' on a column of ' || c.oid::regclass FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
	WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relpersistence <> 't' AND has_any_column_privilege($1, c.oid, p)
	UNION ALL
	SELECT p || ' on sequence ' || c.oid::regclass FROM pg_class c, unnest('{USAGE,SELECT,UPDATE}'::text[]) p
	WHERE relkind = 'S' AND relpersistence <> 't' AND has_sequence_privilege($1, c.oid, p)
	UNION ALL
	SELECT 'EXECUTE on ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
	WHERE nspname !~ '^pg_(toast_)?temp_' AND has_function_privilege($1, p.oid, 'EXECUTE')
	UNION ALL
	SELECT 'CREATE on tablespace ' || spcname FROM pg_tablespace WHERE has_tablespace_privilege($1, oid, 'CREATE')
	UNION ALL
	SELECT 'owner of ' || c.oid::regclass FROM pg_class c JOIN pg_roles r ON r.oid = relowner WHERE rolname = $1 AND relkind IN ('r', 'v')
	ORDER BY 1`

func (s *server) Rights(ctx context.Context, account string) ([]string, error) {
	if account == "" {
		account = "public"
	}
	onTables := []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}
	if s.Version >= "17" {
		onTables = append(onTables, "MAINTAIN")
	}
	rows, err := s.admin.Query(ctx, rights, account, onTables)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
