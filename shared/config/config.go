// Package config reads the one YAML document that says whom dbsts trusts and which databases it serves.
//
// It assumes that the document is reviewed when it is deployed. It holds no secret, only where secrets come from; rules
// and roles are not here, they are rows in the database. It opens no connection: whether an address answers, a key set
// is sound or a password fits is for others to find out.
package config

import "time"

// Config is the whole document. As Parse returns it, every default is filled in and every file path is resolved.
type Config struct {
	URL     string   `yaml:"url"` // our own https address, no path: the issuer in the discovery document
	Issuers []Issuer `yaml:"issuers"`
	Servers []Server `yaml:"servers"`
	Targets []Target `yaml:"targets"`
}

// Issuer is an OpenID provider that we trust.
type Issuer struct {
	Issuer            string        `yaml:"issuer"`                       // exact iss claim; https
	Preset            string        `yaml:"preset,omitempty"`             // kind of issuer: fills what is left out, tells how its tokens look
	Audiences         []string      `yaml:"audiences"`                    // required; one of them must be in aud
	ExtraAudiences    []string      `yaml:"extra_audiences,omitempty"`    // others that aud may hold beside ours; default none
	Algorithms        []string      `yaml:"algorithms,omitempty"`         // default RS256, ES256, or the preset's; also PS256, ES384, EdDSA
	JWKSURI           string        `yaml:"jwks_uri,omitempty"`           // https; exactly one of jwks_uri and jwks, unless the preset knows
	JWKS              string        `yaml:"jwks,omitempty"`               // a JWK set as JSON text, for issuers that cannot be reached
	CAFile            string        `yaml:"ca_file,omitempty"`            // PEM; empty: the system's roots
	Private           bool          `yaml:"private,omitempty"`            // jwks_uri may resolve to a loopback or private address
	AuthorizedParties []string      `yaml:"authorized_parties,omitempty"` // accepted azp values; needed when aud has several
	AccessTokens      bool          `yaml:"access_tokens,omitempty"`      // also take access tokens: RFC 9068, or as the preset says
	MaxTokenAge       time.Duration `yaml:"max_token_age,omitempty"`      // now − iat; 1m to 24h, default 1h, or the preset's
	MaxTokenLife      time.Duration `yaml:"max_token_life,omitempty"`     // exp − iat; 1m to 168h, default 24h
	EndWithToken      bool          `yaml:"end_with_token,omitempty"`     // a login does not outlive its token
	Replay            string        `yaml:"replay,omitempty"`             // allow (default, or the preset's) | reject
	Identity          string        `yaml:"identity,omitempty"`           // stable claim, no e-mail address: name or pointer; default sub, or the preset's
}

// Server is one database server (cluster).
type Server struct {
	Name            string `yaml:"name"`
	Engine          string `yaml:"engine"`                   // postgres
	Address         string `yaml:"address"`                  // host:port that the functions dial
	PublicAddress   string `yaml:"public_address,omitempty"` // host:port told to clients; default address
	Home            string `yaml:"home"`                     // database that holds the schema dbsts
	TLS             TLS    `yaml:"tls,omitempty"`
	Credentials     string `yaml:"credentials,omitempty"`      // password (default)
	SCRAMIterations int    `yaml:"scram_iterations,omitempty"` // 4096 (default) to 100000
	Logins          Logins `yaml:"logins"`
}

// TLS says how the server proves itself. It is always verified in full: chain and name.
type TLS struct {
	CAFile     string `yaml:"ca_file,omitempty"`     // PEM; empty: the system's roots
	ServerName string `yaml:"server_name,omitempty"` // default: the host of address
}

// Logins are the broker's own accounts, one per function. No two may be the same.
type Logins struct {
	Exchange Login `yaml:"exchange"`
	Revoke   Login `yaml:"revoke"`
	Sweep    Login `yaml:"sweep"`
	Migrate  Login `yaml:"migrate,omitempty"` // an administrator; needed by install and by the migrate function only
}

// Login is one account and where its password comes from: exactly one source. The source is read by Password, not by
// Parse: a function can only see its own.
type Login struct {
	User         string `yaml:"user,omitempty"`          // defaults: dbsts_exchange, dbsts_revoke, dbsts_sweep; none for migrate
	PasswordFile string `yaml:"password_file,omitempty"` // first line of a file
	PasswordEnv  string `yaml:"password_env,omitempty"`  // name of an environment variable: local use only
}

// Target is one database that a caller can ask for by name.
type Target struct {
	Name     string `yaml:"name"`
	Server   string `yaml:"server"` // name of a server
	Database string `yaml:"database"`
}

// Target finds a target by its name, and the server that it is on.
func (c Config) Target(name string) (Target, Server, bool) {
	for _, t := range c.Targets {
		if t.Name != name {
			continue
		}
		for _, s := range c.Servers {
			if s.Name == t.Server {
				return t, s, true
			}
		}
	}
	return Target{}, Server{}, false
}

// Issuer finds an issuer by its iss claim, byte for byte.
func (c Config) Issuer(iss string) (Issuer, bool) {
	for _, i := range c.Issuers {
		if i.Issuer == iss {
			return i, true
		}
	}
	return Issuer{}, false
}
