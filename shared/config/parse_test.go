package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"dbsts/shared/config"
)

func good() config.Config {
	return config.Config{
		URL: "https://dbsts.example.com",
		Issuers: []config.Issuer{{
			Issuer:       "https://token.actions.githubusercontent.com",
			Audiences:    []string{"https://dbsts.example.com"},
			Algorithms:   []string{"RS256", "ES256"},
			JWKSURI:      "https://token.actions.githubusercontent.com/.well-known/jwks",
			MaxTokenAge:  10 * time.Minute,
			MaxTokenLife: 24 * time.Hour,
			Replay:       "reject",
			Identity:     "repository_id",
		}, {
			Issuer:            "https://login.example.com/realms/acme/",
			Preset:            "keycloak",
			Audiences:         []string{"db-cli", "db-web"},
			ExtraAudiences:    []string{"account"},
			Algorithms:        []string{"ES384", "EdDSA"},
			JWKSURI:           "https://login.example.com/realms/acme/keys?use=sig",
			CAFile:            "testdata/ca.pem",
			Private:           true,
			AuthorizedParties: []string{"db-cli"},
			AccessTokens:      true,
			MaxTokenAge:       150 * time.Minute,
			MaxTokenLife:      168 * time.Hour,
			EndWithToken:      true,
			Replay:            "allow",
			Identity:          "/acme/person~1id",
		}, {
			Issuer:     "https://kubernetes.default.svc",
			Audiences:  []string{"dbsts"},
			Algorithms: []string{"RS256", "ES256"},
			JWKS: `{"keys": [
  {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
]}
`,
			MaxTokenAge:  time.Hour,
			MaxTokenLife: 24 * time.Hour,
			Replay:       "allow",
			Identity:     "sub",
		}},
		Servers: []config.Server{{
			Name:            "main",
			Engine:          "postgres",
			Address:         "10.1.2.3:5432",
			PublicAddress:   "db.example.com:6432",
			Home:            "postgres",
			TLS:             config.TLS{CAFile: "testdata/ca.pem", ServerName: "main.db.internal"},
			Credentials:     "password",
			SCRAMIterations: 10000,
			Logins: config.Logins{
				Exchange: config.Login{User: "broker_exchange", PasswordFile: "/run/exchange"},
				Revoke:   config.Login{User: "broker_revoke", PasswordFile: "testdata/logins/revoke"},
				Sweep:    config.Login{User: "broker_sweep", PasswordEnv: "SWEEP_PASSWORD"},
				Migrate:  config.Login{User: "admin", PasswordEnv: "ADMIN_PASSWORD"},
			},
		}, {
			Name:            "second",
			Engine:          "postgres",
			Address:         "[2001:db8::1]:5432",
			PublicAddress:   "[2001:db8::1]:5432",
			Home:            "dbsts",
			TLS:             config.TLS{ServerName: "2001:db8::1"},
			Credentials:     "password",
			SCRAMIterations: 4096,
			Logins: config.Logins{
				Exchange: config.Login{User: "dbsts_exchange", PasswordFile: "testdata/exchange"},
				Revoke:   config.Login{User: "dbsts_revoke", PasswordFile: "testdata/revoke"},
				Sweep:    config.Login{User: "dbsts_sweep", PasswordFile: "testdata/sweep"},
			},
		}},
		Targets: []config.Target{
			{Name: "shop", Server: "main", Database: "shop"},
			{Name: "shop:eu-1.reports_x", Server: "second", Database: "Shop Reports"},
		},
	}
}

func TestLoadReadsEverySettingAndFillsInTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, good()); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	cfg := good()
	target, server, ok := cfg.Target("shop")
	if !ok || target.Database != "shop" || server.Name != "main" {
		t.Errorf("Target(shop) = %v, %v, %v", target, server.Name, ok)
	}
	if _, _, found := cfg.Target("Shop"); found {
		t.Error("Target(Shop) was found, but names differ by case")
	}
	issuer, ok := cfg.Issuer("https://login.example.com/realms/acme/")
	if !ok || issuer.Replay != "allow" {
		t.Errorf("Issuer() = %v, %v", issuer, ok)
	}
	for _, near := range []string{"https://login.example.com/realms/acme", "https://LOGIN.example.com/realms/acme/", ""} {
		if _, found := cfg.Issuer(near); found {
			t.Errorf("Issuer(%q) was found, but issuers are compared byte for byte", near)
		}
	}
}

func TestLoadNamesTheFileAndEveryLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dbsts.yaml")
	if err := os.WriteFile(path, []byte(edit(t, "engine: postgres", "engine: oracle", "server: main", "server: mian")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(path)
	want := "configuration " + path + ":\n" +
		"line 8: servers[0].engine: \"oracle\" is not supported; take postgres\n" +
		"line 17: targets[0].server: there is no server \"mian\""
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := config.Load(path + ".missing"); err == nil || !strings.Contains(err.Error(), path+".missing") {
		t.Errorf("error of a missing file does not name it: %v", err)
	}
}

func TestMistakesAreTyped(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte(edit(t, "home: postgres", "house: postgres")), "testdata")
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T does not join errors: %v", err, err)
	}
	want := []config.Mistake{
		{Line: 7, Path: "servers[0].home", Text: "is missing: the database that holds the schema dbsts"},
		{
			Line: 10, Path: "servers[0]",
			Text: `unknown key "house"; it takes name, engine, address, public_address, home, tls, credentials, scram_iterations, logins`,
		},
	}
	var got []config.Mistake
	for _, each := range joined.Unwrap() {
		var mistake *config.Mistake
		if !errors.As(each, &mistake) {
			t.Fatalf("%T is not a mistake: %v", each, each)
		}
		got = append(got, *mistake)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

// FuzzParse: no input makes Parse panic, and what it takes, with all defaults filled in, it takes again as the same.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/good.yaml", "testdata/bad.yaml"} {
		doc, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, doc []byte) {
		first, err := config.Parse(doc, "testdata")
		if err != nil {
			if diff := cmp.Diff(first, config.Config{}); diff != "" {
				t.Errorf("an error came with a configuration:\n%s", diff)
			}
			return
		}
		written, err := yaml.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if len(written) > 256<<10 {
			return // the defaults made it too large
		}
		second, err := config.Parse(written, ".")
		if err != nil {
			t.Fatalf("not taken again: %v\n%s", err, written)
		}
		if diff := cmp.Diff(second, first); diff != "" {
			t.Errorf("second (-), first (+):\n%s", diff)
		}
	})
}
