package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/engine"
	"dbsts/shared/engine/enginetest"
	"dbsts/tests/shop"
)

// server is the conformance suite's fixture.
var _ enginetest.Fixture = (*server)(nil)

func TestConformance(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) { enginetest.Run(t, s) })
	newest := versions()[len(versions())-1]
	t.Run(newest+" installed by a superuser", func(t *testing.T) {
		t.Parallel()
		s := fleet.get(t, "bare "+newest, bare(newest))
		s.wipe(t)
		s.install(t, s.as(t, s.AdminUser, s.AdminPassword))
		s.govern(t)
		enginetest.Run(t, s)
	})
}

func (s *server) Minter() engine.Minter   { return s.engine("exchange", s.Logins().Exchange) }
func (s *server) Revoker() engine.Revoker { return s.engine("revoke", s.Logins().Revoke) }
func (s *server) Ender() engine.Ender     { return s.engine("sweep", s.Logins().Sweep) }

func (s *server) modern() bool { return !strings.HasPrefix(s.Version, "15.") && s.Version >= "16" }

// session is a login's session.
type session struct{ *pgx.Conn }

func (s *server) Login(ctx context.Context, user, password string) (enginetest.Session, error) {
	conn, err := s.Dial(ctx, user, password)
	if err != nil {
		return nil, err
	}
	return session{conn}, nil
}

func (c session) Exec(ctx context.Context, statement string) error {
	_, err := c.PgConn().Exec(ctx, statement).ReadAll()
	return err
}

func (c session) Query(ctx context.Context, statement string) (string, error) {
	var text *string
	err := c.QueryRow(ctx, statement, pgx.QueryExecModeExec).Scan(&text)
	if err != nil || text == nil {
		return "", err
	}
	return *text, nil
}

func (c session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Conn.Close(ctx)
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func (s *server) MakeRole(ctx context.Context, r enginetest.Role) error {
	s.dcl.Lock()
	defer s.dcl.Unlock()
	return errors.Join(
		s.exec(ctx, s.roleStatements(r)),
		s.exec(ctx, "INSERT INTO dbsts.roles (target, role, activation, max_ttl) VALUES ($1, $2, $3, $4)", r.Target, r.Name, r.Activation, r.MaxTTL))
}

// roleStatements make a role with its rights.
func (s *server) roleStatements(r enginetest.Role) string {
	role := quoted(r.Name)
	statements := []string{
		"CREATE ROLE " + role + " NOLOGIN",
		"GRANT CONNECT ON DATABASE " + r.Target + " TO " + role, // the shop's targets are called like their databases
	}
	if s.modern() {
		statements = append(statements, "GRANT "+role+" TO dbsts_caps WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
	}
	for _, right := range r.May {
		statements = append(statements, "GRANT USAGE ON SCHEMA shop TO "+role, map[enginetest.Right]string{
			enginetest.Read:   "GRANT SELECT ON shop.customers TO " + role,
			enginetest.Write:  "GRANT INSERT ON shop.visits TO " + role,
			enginetest.Create: "GRANT CREATE ON SCHEMA shop TO " + role + "; GRANT TEMPORARY ON DATABASE shop TO " + role,
		}[right])
	}
	return strings.Join(statements, ";\n")
}

func (s *server) PutRule(ctx context.Context, r enginetest.Rule) error {
	effect := "allow"
	if r.Deny {
		effect = "deny"
	}
	if r.Expose == nil {
		r.Expose = []string{}
	}
	return s.exec(ctx, `
		INSERT INTO dbsts.rules (id, enabled, effect, issuer, target, match, roles, max_ttl, expose, valid_from, valid_until)
		VALUES ($1, $2, $3, $4, $5, '[{"claim": "groups", "op": "has", "value": "x"}]', $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET enabled = excluded.enabled, effect = excluded.effect, issuer = excluded.issuer, target = excluded.target,
			roles = excluded.roles, max_ttl = excluded.max_ttl, expose = excluded.expose,
			valid_from = excluded.valid_from, valid_until = excluded.valid_until`,
		r.ID, !r.Disabled, effect, r.Issuer, r.Target, r.Roles, r.MaxTTL, r.Expose, instant(r.From), instant(r.Until))
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *server) Amend(ctx context.Context, role string, enabled bool, maxTTL int) error {
	return s.exec(ctx, "UPDATE dbsts.roles SET enabled = $2, max_ttl = $3 WHERE role = $1", role, enabled, maxTTL)
}

func (s *server) Spoil(ctx context.Context, role string, how enginetest.Flaw) error {
	s.dcl.Lock()
	defer s.dcl.Unlock()
	name := quoted(role)
	return s.exec(ctx, map[enginetest.Flaw]string{
		enginetest.Superuser: "ALTER ROLE " + name + " SUPERUSER",
		enginetest.CanLogin:  "ALTER ROLE " + name + " LOGIN",
		enginetest.WritesAll: "GRANT pg_write_all_data TO " + name,
		enginetest.Replaced: "DROP OWNED BY " + name + "; DROP ROLE " + name + ";" +
			s.roleStatements(enginetest.Role{Name: role, Target: shop.Target, May: []enginetest.Right{enginetest.Read}}),
	}[how])
}

func (s *server) Limit(ctx context.Context, l enginetest.Limits) error {
	return s.exec(ctx, `
		UPDATE dbsts.policy SET live_per_identity = nullif($1::int, 0), mints_per_identity_minute = nullif($2::int, 0),
			mints_per_issuer_minute = nullif($3::int, 0), live_per_target = nullif($4::int, 0), frozen = $5,
			refusals_per_issuer_minute = nullif($6::int, 0)`,
		l.LivePerIdentity, l.MintsPerIdentityMinute, l.MintsPerIssuerMinute, l.LivePerTarget, l.Frozen, l.RefusalsPerIssuer)
}

func (s *server) SetEpoch(ctx context.Context, e enginetest.Epoch) error {
	return s.exec(ctx, `
		INSERT INTO dbsts.epochs (issuer, kind, value, not_before, cause) VALUES ($1, $2, $3, $4, 'test')
		ON CONFLICT (issuer, kind, value) DO UPDATE SET not_before = excluded.not_before`, e.Issuer, e.Kind, e.Value, e.NotBefore)
}

func (s *server) Speech() enginetest.Speech {
	return enginetest.Speech{
		Issuer: shop.Issuer, Target: shop.Target, Elsewhere: shop.Archive,
		Entry: []string{"CONNECT on database shop"},
		Read:  "SELECT count(*) FROM shop.customers",
		Write: "INSERT INTO shop.visits DEFAULT VALUES",
		Self:  "SELECT session_user::text",
		Make:  func(table string) string { return "CREATE TABLE shop." + quoted(table) + " (id int)" },
		Maker: func(table string) string {
			return fmt.Sprintf("SELECT tableowner::text FROM pg_tables WHERE schemaname = 'shop' AND tablename = '%s'", table)
		},
		Become:         func(role string) string { return "SET ROLE " + quoted(role) },
		Claim:          func(name string) string { return fmt.Sprintf("SELECT dbsts_api.claim('%s')", name) },
		Own:            "SELECT lo_create(0)",
		Stay:           []string{"BEGIN", "SELECT lo_create(0)", "PREPARE TRANSACTION 'stay'"},
		SwitchesAnyway: !s.modern(),
		Forgeries:      forgeries,
		Occupations:    occupations,
	}
}
