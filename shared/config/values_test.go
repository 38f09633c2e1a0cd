package config_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbsts/shared/config"
)

func TestURL(t *testing.T) {
	t.Parallel()
	const old = "url: https://dbsts.example.com"
	run(t, []spoilt{
		{"with a port", old, "url: https://localhost:8443", ""},
		{"IPv6", old, "url: https://[::1]:8443", ""},
		{"http", old, "url: http://localhost:8443", "line 1: url: must start with https://"},
		{"scheme in capitals", old, "url: HTTPS://dbsts.example.com", "line 1: url: must start with https://"},
		{"slash at the end", old, "url: https://dbsts.example.com/", "line 1: url: must not end in a slash: write https://dbsts.example.com"},
		{"path", old, "url: https://dbsts.example.com/prod", "line 1: url: must not have a path: use a domain of its own or the stage $default"},
		{"query", old, "url: https://dbsts.example.com?", "line 1: url: must not have a query (?)"},
		{"fragment", old, `url: "https://dbsts.example.com#"`, "line 1: url: must not have a fragment (#)"},
		{"user", old, "url: https://me@dbsts.example.com", "line 1: url: must not have a user or password before the host"},
		{"template", old, "url: https://${domain}", "line 1: url: has characters that a URL cannot hold; is it a template to be filled in?"},
		{"not ASCII", old, "url: https://dbsts.exämple.com", "line 1: url: has characters that a URL cannot hold; is it a template to be filled in?"},
		{"no host", old, "url: https://", "line 1: url: has no valid host and port"},
		{"port alone", old, "url: https://:443", "line 1: url: has no valid host and port"},
		{"no port behind the colon", old, "url: 'https://dbsts.example.com:'", "line 1: url: has no valid host and port"},
		{"port too large", old, "url: https://dbsts.example.com:65536", "line 1: url: has no valid host and port"},
		{"port not a number", old, "url: https://dbsts.example.com:https", "line 1: url: is not a URL"},
	})
}

func TestIssuer(t *testing.T) {
	t.Parallel()
	const iss, keys = "issuer: https://idp.example.com/", "jwks_uri: https://idp.example.com/keys"
	run(t, []spoilt{
		{"without slash", iss, "issuer: https://idp.example.com", ""},
		{"with path", iss, "issuer: https://idp.example.com/a/b/", ""},
		{"query", iss, "issuer: https://idp.example.com/?a=b", "line 3: issuers[0].issuer: must not have a query (?)"},
		{"http", iss, "issuer: http://idp.example.com/", "line 3: issuers[0].issuer: must start with https://"},
		{"without scheme", iss, "issuer: accounts.google.com", "line 3: issuers[0].issuer: must start with https://"},
		{"Entra's placeholder", iss, "issuer: https://login.microsoftonline.com/{tenantid}/v2.0", "line 3: issuers[0].issuer: has characters that a URL cannot hold; is it a template to be filled in?"},
		{"key set as text", keys, `jwks: '{"keys":[{}]}'`, ""},
		{"key set and address", keys, keys + "\n    jwks: '{\"keys\":[{}]}'", "line 6: issuers[0].jwks: stands beside jwks_uri: give one of the two"},
		{"no key set", keys, "access_tokens: false", "line 3: issuers[0]: needs jwks_uri, or jwks if it cannot be reached"},
		{"key set not JSON", keys, `jwks: "{'keys': []}"`, `line 5: issuers[0].jwks: must be a JSON object whose member "keys" is a list of at least one key`},
		{"key set without keys", keys, `jwks: '{"Keys":[{}]}'`, `line 5: issuers[0].jwks: must be a JSON object whose member "keys" is a list of at least one key`},
		{"list of keys", keys, `jwks: '[{}]'`, `line 5: issuers[0].jwks: must be a JSON object whose member "keys" is a list of at least one key`},
		{"keys by http", keys, "jwks_uri: http://idp.example.com/keys", "line 5: issuers[0].jwks_uri: must start with https://"},
		{"keys with a fragment", keys, "jwks_uri: https://idp.example.com/keys#1", "line 5: issuers[0].jwks_uri: must not have a fragment (#)"},
		{"all algorithms", keys, keys + "\n    algorithms: [RS256, PS256, ES256, ES384, EdDSA]", ""},
		{"HS512", keys, keys + "\n    algorithms: [HS512]", "line 6: issuers[0].algorithms[0]: HS512 is not allowed: symmetric, so whoever can check a token could also sign one"},
		{"None", keys, keys + "\n    algorithms: [None]", "line 6: issuers[0].algorithms[0]: None is not allowed: such tokens are not signed"},
		{"small letters", keys, keys + "\n    algorithms: [rs256]", `line 6: issuers[0].algorithms[0]: "rs256" is not supported; take RS256, PS256, ES256, ES384, EdDSA`},
		{"shortest age", keys, keys + "\n    max_token_age: 1m", ""},
		{"age too short", keys, keys + "\n    max_token_age: 59s", "line 6: issuers[0].max_token_age: must be between 1m and 24h"},
		{"age zero", keys, keys + "\n    max_token_age: 0s", "line 6: issuers[0].max_token_age: must be between 1m and 24h"},
		{"longest age", keys, keys + "\n    max_token_age: 24h", ""},
		{"age too long", keys, keys + "\n    max_token_age: 24h1s", "line 6: issuers[0].max_token_age: must be between 1m and 24h"},
		{"longest life", keys, keys + "\n    max_token_life: 168h", ""},
		{"life too long", keys, keys + "\n    max_token_life: 169h", "line 6: issuers[0].max_token_life: must be between 1m and 168h"},
		{"replay supersede", keys, keys + "\n    replay: supersede", "line 6: issuers[0].replay: must be allow or reject"},
		{"other audiences, other parties", keys, keys + "\n    extra_audiences: [a]\n    authorized_parties: [b]", ""},
		{"same party twice", keys, keys + "\n    authorized_parties: [b, b]", "line 6: issuers[0].authorized_parties[1]: is the same as issuers[0].authorized_parties[0] in line 6"},
	})
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const old = "audiences: [dbsts]"
	allow := func(claim string) spoilt {
		return spoilt{claim, old, old + "\n    identity: " + claim, ""}
	}
	deny := func(claim, last string) spoilt {
		return spoilt{claim, old, old + "\n    identity: " + claim, "line 5: issuers[0].identity: " + last +
			" can change or be given to someone else, who would then be the same person here: take sub or another claim that the issuer never re-uses"}
	}
	malformed := func(claim string) spoilt {
		return spoilt{claim, old, old + "\n    identity: " + claim, "line 5: issuers[0].identity: is not a JSON Pointer: write ~0 for ~ and ~1 for /"}
	}
	run(t, []spoilt{
		allow("sub"), allow("oid"), allow("/kubernetes.io/serviceaccount/uid"), allow("https://example.com/person"), allow("/a~0~1b"), allow("a~b"),
		deny("email", "email"), deny("Email", "Email"), deny("upn", "upn"), deny("preferred_username", "preferred_username"),
		deny("unique_name", "unique_name"), deny("/email", "email"), deny("/federated/email", "email"),
		deny("/kubernetes.io/serviceaccount/name", "name"),
		malformed("/a~"), malformed("/a~2b"), malformed("/~~0"),
	})
}

func TestServer(t *testing.T) {
	t.Parallel()
	const address, home, sweep = "address: db.example.com:5432", "home: postgres", "sweep: {password_file: sweep}"
	const migrate = sweep + "\n      migrate: "
	const noHost = "line 9: servers[0].address: has no valid host name or IP address before the port"
	long := strings.Repeat("x", 64)
	run(t, []spoilt{
		{"no name", "name: main\n    ", "", "line 7: servers[0].name: is missing: what targets call it\n" +
			`line 16: targets[0].server: there is no server "main"`},
		{"no engine", "    engine: postgres\n", "", "line 7: servers[0].engine: is missing: postgres"},
		{"MariaDB", "engine: postgres", "engine: mariadb", `line 8: servers[0].engine: "mariadb" is not supported; take postgres`},
		{"no address", "    " + address + "\n", "", "line 7: servers[0].address: is missing: host:port"},
		{"IPv6", address, `address: "[::1]:5432"`, ""},
		{"IPv6 with a zone", address, `address: "[fe80::1%eth0]:5432"`, noHost},
		{"IPv6 without brackets", address, "address: ::1:5432", "line 9: servers[0].address: must be host:port, or [address]:port for IPv6"},
		{"mistyped IPv4", address, "address: 10.0.0.256:5432", noHost},
		{"no host", address, "address: ':5432'", noHost},
		{"host with a space", address, "address: 'db one:5432'", noHost},
		{"URL", address, "address: postgres://db:5432", "line 9: servers[0].address: must be host:port, or [address]:port for IPv6"},
		{"port zero", address, "address: db:0", "line 9: servers[0].address: must end in a port from 1 to 65535"},
		{"last port", address, "address: db:65535", ""},
		{"port too large", address, "address: db:65536", "line 9: servers[0].address: must end in a port from 1 to 65535"},
		{"named port", address, "address: db:postgresql", "line 9: servers[0].address: must end in a port from 1 to 65535"},
		{"bad public address", address, address + "\n    public_address: db", "line 10: servers[0].public_address: must be host:port, or [address]:port for IPv6"},
		{"long home", home, "home: " + long, "line 10: servers[0].home: is longer than 63 bytes"},
		{"fewest iterations", home, home + "\n    scram_iterations: 4096", ""},
		{"too few iterations", home, home + "\n    scram_iterations: 4095", "line 11: servers[0].scram_iterations: must be between 4096 and 100000"},
		{"most iterations", home, home + "\n    scram_iterations: 100000", ""},
		{"no iterations", home, home + "\n    scram_iterations: 0", "line 11: servers[0].scram_iterations: must be between 4096 and 100000"},
		{"unknown credentials", home, home + "\n    credentials: kerberos", "line 11: servers[0].credentials: must be password"},
		{"no logins", "    logins:\n      exchange: {password_file: exchange}\n      revoke: {password_file: revoke}\n      " + sweep + "\n", "", "line 7: servers[0].logins.exchange: needs a password_file, or for local use a password_env\n" +
			"line 7: servers[0].logins.revoke: needs a password_file, or for local use a password_env\n" +
			"line 7: servers[0].logins.sweep: needs a password_file, or for local use a password_env"},
		{"default user of another login", sweep, "sweep: {user: dbsts_revoke, password_file: sweep}", "line 14: servers[0].logins.sweep.user: is the same as servers[0].logins.revoke.user in line 13"},
		{"long user", sweep, "sweep: {user: " + long + ", password_file: sweep}", "line 14: servers[0].logins.sweep.user: is longer than 63 bytes"},
		{"variable", sweep, "sweep: {password_env: _Sweep_1}", ""},
		{"administrator", sweep, migrate + "{user: postgres, password_env: PGPASSWORD}", ""},
		{"administrator without name", sweep, migrate + "{password_env: PGPASSWORD}", "line 15: servers[0].logins.migrate.user: is missing: the administrator's account"},
		{"administrator without password", sweep, migrate + "{user: postgres}", "line 15: servers[0].logins.migrate: needs a password_file, or for local use a password_env"},
		{"function as administrator", sweep, migrate + "{user: dbsts_sweep, password_env: P}", "line 15: servers[0].logins.migrate.user: is the same as servers[0].logins.sweep.user in line 14"},
	})
}

func TestTarget(t *testing.T) {
	t.Parallel()
	const name, database = "name: shop", "database: shop"
	const badName = "line 16: targets[0].name: must be 1 to 64 of a-z, 0-9, dot, underscore, colon and hyphen, and start with a letter or digit"
	long := strings.Repeat("x", 64)
	run(t, []spoilt{
		{"longest name", name, "name: " + long, ""},
		{"name too long", name, "name: x" + long, badName},
		{"name in capitals", name, "name: Shop", badName},
		{"name with a slash", name, "name: shop/eu", badName},
		{"name with a hyphen first", name, "name: -shop", badName},
		{"longest database", database, "database: " + long[1:], ""},
		{"database too long", database, "database: " + long, "line 18: targets[0].database: is longer than 63 bytes"},
		{"same name", database, database + "\n  - {name: shop, server: main, database: other}", "line 19: targets[1].name: is the same as targets[0].name in line 16"},
		{"same database", database, database + "\n  - {name: other, server: main, database: shop}", "line 19: targets[1].database: is the same as targets[0].database in line 18"},
		{"no server", "    server: main\n", "", "line 16: targets[0].server: is missing: the name of a server"},
	})
}

func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("none")}))
	}
	write(t, filepath.Join(dir, "good.pem"), "Our authority\n"+string(certificate))
	write(t, filepath.Join(dir, "key.pem"), encode("EC PRIVATE KEY")+string(certificate))
	write(t, filepath.Join(dir, "cut.pem"), string(certificate[:len(certificate)/2]))
	write(t, filepath.Join(dir, "other.pem"), encode("CERTIFICATE"))
	write(t, filepath.Join(dir, "empty.pem"), "")
	write(t, filepath.Join(dir, "large.pem"), strings.Repeat("x", 1<<20+1))

	none := " holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
	for file, want := range map[string]string{
		"good.pem":  "",
		"key.pem":   " holds a private key: give a file of certificates alone",
		"cut.pem":   none,
		"other.pem": none,
		"empty.pem": none,
		"large.pem": " is larger than 1048576 bytes",
	} {
		path := filepath.Join(dir, file)
		issuer := edit(t, "audiences: [dbsts]", "audiences: [dbsts]\n    ca_file: "+file)
		mustEnd(t, issuer, dir, "line 5: issuers[0].ca_file: ", path, want)
		server := edit(t, "home: postgres", "home: postgres\n    tls: {ca_file: "+path+"}")
		mustEnd(t, server, "elsewhere", "line 11: servers[0].tls.ca_file: ", path, want)
	}
}

// mustEnd fails unless doc is good, when want is empty, or ends with the error that the other parts make up.
func mustEnd(t *testing.T, doc, dir, place, path, want string) {
	t.Helper()
	_, err := config.Parse([]byte(doc), dir)
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", path, err)
	case want != "" && (err == nil || err.Error() != place+path+want):
		t.Errorf("got %v, want %s", err, place+path+want)
	}
}
