package postgres_test

import (
	"testing"
	"time"

	"dbsts/shared/config"
	"dbsts/shared/engine"
	"dbsts/shared/engine/postgres"
	"dbsts/tests/servers"
	"dbsts/tests/shop"
)

// onBare runs a test on a server of each version that has no trace of dbsts yet; the versions beside each other.
func onBare(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := fleet.get(t, "bare "+version, bare(version))
			s.wipe(t)
			test(t, s)
		})
	}
}

// bare is a shop without dbsts.
func bare(version string) shop.Options {
	return shop.Options{Options: servers.Options{Version: version, Settings: settings()}, Bare: true, Archive: true}
}

// wipe removes dbsts from a server, whatever there is of it.
func (s *server) wipe(t *testing.T) {
	t.Helper()
	s.close()
	s.must(t, `
		DROP SCHEMA IF EXISTS dbsts, dbsts_api CASCADE;
		DO $$
		DECLARE r name;
		BEGIN
			FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ '^dbsts_|^(first|second)$' LOOP
				EXECUTE format('DROP OWNED BY %I', r);
			END LOOP;
			FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ '^dbsts_|^(first|second)$' LOOP
				EXECUTE format('DROP ROLE %I', r);
			END LOOP;
		END $$`)
}

// must runs statements as the superuser.
func (s *server) must(t *testing.T, statements string) {
	t.Helper()
	if err := s.exec(t.Context(), statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// conf is the configuration of the server.
func (s *server) conf() config.Server { return s.Config.Servers[0] }

// as is that configuration with another administrator.
func (s *server) as(t *testing.T, user, password string) config.Server {
	t.Helper()
	login, err := s.Shop.Login(user, password)
	if err != nil {
		t.Fatal(err)
	}
	server := s.conf()
	server.Logins.Migrate = login
	return server
}

func (s *server) install(t *testing.T, server config.Server) postgres.Installation {
	t.Helper()
	done, err := postgres.Install(t.Context(), server, s.Config.Targets)
	if err != nil {
		t.Fatalf("install: %v", err)
	}
	return done
}

func (s *server) govern(t *testing.T) {
	t.Helper()
	if err := s.Govern(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// rules that give the shop's roles; see tests/shop/policy.sql.
var rules = map[string]string{"app_read": "analysts", "app_write": "engineers", "app_owner": "dba"}

// wish is what the broker would ask for, for one of the shop's roles.
func (s *server) wish(t *testing.T, role string) engine.Mint {
	t.Helper()
	p, err := s.Minter().Policy(t.Context())
	if err != nil {
		t.Fatalf("read policy: %v", err)
	}
	identity := "user-" + engine.NewGrantID()
	return engine.Mint{
		Subject: engine.Subject{
			Issuer: shop.Issuer, Identity: identity, Subject: identity, TokenKey: identity,
			IssuedAt: time.Now().Unix(), Expires: time.Now().Add(time.Hour).Unix(),
		},
		ID: engine.NewGrantID(), Target: shop.Target, Secret: engine.NewSecret(), Roles: []string{role},
		Rules: []engine.Rule{{ID: rules[role], Version: 1}}, Lifetime: 300, PolicyVersion: p.Version, PolicyAsOf: p.AsOf,
		Claims: map[string]any{}, Exposed: map[string]any{}, Replay: "allow",
	}
}

// mint mints one of the shop's roles.
func (s *server) mint(t *testing.T, role string) engine.Credential {
	t.Helper()
	c, err := s.Minter().Mint(t.Context(), s.wish(t, role))
	if err != nil {
		t.Fatalf("mint %s: %v", role, err)
	}
	return c
}

// works wants a login to be minted and to work.
func (s *server) works(t *testing.T) {
	t.Helper()
	c := s.mint(t, "app_read")
	conn := s.Connect(t, c.Login, c.Password.Reveal())
	if _, err := conn.Exec(t.Context(), "SELECT FROM shop.customers"); err != nil {
		t.Fatalf("the minted login: %v", err)
	}
}
