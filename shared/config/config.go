// Package config reads the one YAML document that says whom dbsts trusts and which databases it serves.
//
// It assumes that the document is reviewed when it is deployed. It holds no secret, only where secrets come from; rules
// and roles are not here, they are rows in the database.
package config

import "time"

// Config is the whole document.
type Config struct {
	URL     string   `yaml:"url"` // our own https address, no path: the issuer in the discovery document
	Issuers []Issuer `yaml:"issuers"`
	Servers []Server `yaml:"servers"`
	Targets []Target `yaml:"targets"`
}

// Issuer is an OpenID provider that we trust.
type Issuer struct {
	Issuer            string        `yaml:"issuer"`             // exact iss claim; https
	Audiences         []string      `yaml:"audiences"`          // required; one of them must be in aud
	ExtraAudiences    []string      `yaml:"extra_audiences"`    // others that aud may hold beside ours; default none
	Algorithms        []string      `yaml:"algorithms"`         // default RS256, ES256; also PS256, ES384, EdDSA
	JWKSURI           string        `yaml:"jwks_uri"`           // https; exactly one of jwks_uri and jwks
	JWKS              string        `yaml:"jwks"`               // a JWK set as JSON text, for issuers that cannot be reached
	CAFile            string        `yaml:"ca_file"`            // PEM; empty: the system's roots
	Private           bool          `yaml:"private"`            // jwks_uri may resolve to a loopback or private address
	AuthorizedParties []string      `yaml:"authorized_parties"` // accepted azp values; needed when aud has several
	AccessTokens      bool          `yaml:"access_tokens"`      // also take RFC 9068 access tokens (typ at+jwt)
	MaxTokenAge       time.Duration `yaml:"max_token_age"`      // now − iat; default 1h
	MaxTokenLife      time.Duration `yaml:"max_token_life"`     // exp − iat; default 24h
	EndWithToken      bool          `yaml:"end_with_token"`     // a login does not outlive its token
	Replay            string        `yaml:"replay"`             // allow (default) | reject
	Identity          string        `yaml:"identity"`           // stable claim, a name or a JSON Pointer; default sub; never an e-mail address
}

// Server is one database server (cluster).
type Server struct {
	Name            string `yaml:"name"`
	Engine          string `yaml:"engine"`         // postgres
	Address         string `yaml:"address"`        // host:port that the functions dial
	PublicAddress   string `yaml:"public_address"` // host:port told to clients; default address
	Home            string `yaml:"home"`           // database that holds the schema dbsts
	TLS             TLS    `yaml:"tls"`
	Credentials     string `yaml:"credentials"`      // password (default)
	SCRAMIterations int    `yaml:"scram_iterations"` // 4096 (default) to 100000
	Logins          Logins `yaml:"logins"`
}

// TLS says how the server proves itself. It is always verified in full: chain and name.
type TLS struct {
	CAFile     string `yaml:"ca_file"`     // PEM; empty: the system's roots
	ServerName string `yaml:"server_name"` // default: the host of address
}

// Logins are the broker's own accounts, one per function.
type Logins struct {
	Exchange Login `yaml:"exchange"`
	Revoke   Login `yaml:"revoke"`
	Sweep    Login `yaml:"sweep"`
	Migrate  Login `yaml:"migrate"` // an administrator; needed by install and by the migrate function only
}

// Login is one account and where its password comes from: exactly one source.
type Login struct {
	User         string `yaml:"user"`          // defaults: dbsts_exchange, dbsts_revoke, dbsts_sweep; none for migrate
	PasswordFile string `yaml:"password_file"` // first line of a file
	PasswordEnv  string `yaml:"password_env"`  // name of an environment variable: local use only
}

// Target is one database that a caller can ask for by name.
type Target struct {
	Name     string `yaml:"name"`
	Server   string `yaml:"server"`
	Database string `yaml:"database"`
}
