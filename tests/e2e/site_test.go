package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"dbsts/localstack/issuer"
	"dbsts/tests/servers"
	"dbsts/tests/servers/serverstest"
	"dbsts/tests/shop"
)

// audience is what tokens must be for.
const audience = "dbsts-e2e"

// policy fits the shop to the issuer: its rules, one more for jobs, and what the README's example selects.
const policy = `
	UPDATE dbsts.rules SET issuer = '{{issuer}}';
	INSERT INTO dbsts.rules (id, issuer, target, match, roles, max_ttl) VALUES
	    ('jobs', '{{issuer}}', 'shop', '[{"claim": "repository_id", "op": "eq", "value": "4711"}, {"claim": "ref", "op": "eq", "value": "refs/heads/main"}]',
	     '{app_write}', 300);
	INSERT INTO dbsts.rules (id, effect, issuer, target, match) VALUES
	    ('nobody-suspended', 'deny', '{{issuer}}', 'shop', '[{"claim": "suspended", "op": "eq", "value": true}]');
	ALTER TABLE shop.orders ADD amount numeric(10, 2) NOT NULL DEFAULT 1;
	INSERT INTO shop.orders VALUES (11, 'blue', 'teapot', 24.50), (12, 'blue', 'kettle', 39.00);`

// site is one PostgreSQL server with the shop and dbsts in it, and the issuer that its rules are for.
type site struct {
	*shop.Shop
	version string
	dir     string
	admin   *pgxpool.Pool // superuser's sessions in the home database
	issuer  string        // the iss claim, through the door
	direct  string        // the same issuer for the tests themselves, whatever the door does
	door    *door
	stack   *stack // the deployment of tests that have no wishes
	end     context.CancelFunc
}

// openSite gives a version's site; the first to ask has it made.
func openSite(t *testing.T, version string) *site {
	t.Helper()
	run.mu.Lock()
	s := run.sites[version]
	run.mu.Unlock()
	if s == nil {
		ctx, end := context.WithCancel(context.Background()) // the site outlives this test
		s = &site{version: version, dir: filepath.Join(run.dir, version), end: end}
		if err := s.make(ctx); err != nil {
			t.Fatalf("PostgreSQL %s: %v", version, errors.Join(err, s.close()))
		}
		run.mu.Lock()
		run.sites[version] = s
		run.mu.Unlock()
	}
	before := s.stack.log.Len()
	t.Cleanup(func() { s.stack.tell(t, before) })
	return s
}

func (s *site) make(ctx context.Context) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	options := shop.Options{Options: servers.Options{
		Version: s.version,
		Settings: map[string]string{
			"log_statement": "all", "log_min_error_statement": "error",
			"synchronous_commit": "on", // what was answered must outlive a crash of the server
		},
	}}
	server, err := serverstest.Start(ctx, options.Options)
	if err != nil {
		return err
	}
	s.Shop = &shop.Shop{Server: server} // for close, whatever happens next
	furnished, err := shop.Furnish(ctx, server, s.dir, options)
	if err != nil {
		return err
	}
	s.Shop = furnished
	if err = s.found(ctx); err != nil {
		return err
	}
	if err = s.Exec(ctx, shop.Database, strings.ReplaceAll(policy, "{{issuer}}", s.issuer)); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(s.AdminDSN(shop.Database))
	if err != nil {
		return err
	}
	config.MaxConns = 4
	if s.admin, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	s.stack, err = s.deploy(ctx, nil)
	return err
}

// found starts the issuer and opens its door.
func (s *site) found(ctx context.Context) (err error) {
	if s.door, err = newDoor(ctx); err != nil {
		return err
	}
	_, port, _ := strings.Cut(s.door.address, ":")
	s.issuer = "https://localhost:" + port
	s.direct, err = run.certificate.Serve(ctx, func(string) (http.Handler, error) { return issuer.Handler(s.issuer, audience) })
	if err != nil {
		return err
	}
	behind, err := url.Parse(s.direct)
	if err != nil {
		return err
	}
	s.door.behind = "127.0.0.1:" + behind.Port()
	return s.door.open()
}

func (s *site) close() error {
	if s.stack != nil {
		s.stack.close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.door != nil {
		_ = s.door.shut()
	}
	s.end()
	if s.Shop == nil {
		return nil
	}
	return s.Stop()
}

// exec runs one statement as the superuser.
func (s *site) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	if _, err := s.admin.Exec(t.Context(), statement, arguments...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// one gives one value as the superuser sees it.
func one[T any](t *testing.T, s *site, query string, arguments ...any) T {
	t.Helper()
	var value T
	if err := s.admin.QueryRow(t.Context(), query, arguments...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// grants counts the grants ever made.
func (s *site) grants(t *testing.T) int {
	t.Helper()
	return one[int](t, s, "SELECT count(*) FROM dbsts.grants")
}

// expire stands for the passing of time: every live grant's end now lies in the past.
func (s *site) expire(t *testing.T) {
	t.Helper()
	s.exec(t, "UPDATE dbsts.grants SET expires_at = clock_timestamp() - interval '1 second' WHERE state = 'active'")
}

// releaseLeases stands for the half minute after which a dead sweep's work is taken over.
func (s *site) releaseLeases(t *testing.T) {
	t.Helper()
	s.exec(t, `UPDATE dbsts.grants SET leased_until = clock_timestamp() - interval '1 second', next_attempt_at = clock_timestamp()
		WHERE state IN ('revoking', 'quarantined')`)
}
