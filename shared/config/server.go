package config

import "regexp"

// variableName is what a shell can set (POSIX.1-2024, XBD 3.216).
var variableName = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]*\z`)

func (d *document) checkServer(at string, s *Server) {
	d.require(at+".name", "what targets call it")
	if s.Name != "" && !serverName.MatchString(s.Name) {
		d.report(at+".name", "must be 1 to 63 of a-z, 0-9 and hyphen, and start with a letter or digit")
	}
	d.require(at+".engine", "postgres")
	if s.Engine != "" && s.Engine != "postgres" {
		d.report(at+".engine", "%q is not supported; take postgres", s.Engine)
	}
	d.require(at+".address", "host:port")
	host := d.checkAddress(at+".address", s.Address)
	if !d.has(at + ".public_address") {
		s.PublicAddress = s.Address
	} else {
		d.checkAddress(at+".public_address", s.PublicAddress)
	}
	d.checkIdentifier(at+".home", s.Home, "the database that holds the schema dbsts")

	d.checkCertificates(at+".tls.ca_file", &s.TLS.CAFile)
	if !d.has(at + ".tls.server_name") {
		s.TLS.ServerName = host
	} else if s.TLS.ServerName != "" && !validHost(s.TLS.ServerName) {
		d.report(at+".tls.server_name", "must be a host name or an IP address, without a port")
	}

	if s.Credentials == "iam" {
		d.report(at+".credentials", "iam is not supported yet; take password")
	} else {
		d.oneOf(at+".credentials", &s.Credentials, "password", "password")
	}
	if !d.has(at + ".scram_iterations") {
		s.SCRAMIterations = minIterations
	} else if s.SCRAMIterations < minIterations || s.SCRAMIterations > maxIterations {
		d.report(at+".scram_iterations", "must be between %d and %d", minIterations, maxIterations)
	}
	d.checkLogins(at+".logins", &s.Logins)
}

// checkAddress checks a host:port and gives its host; empty if there is none.
func (d *document) checkAddress(path, address string) string {
	if address == "" {
		return ""
	}
	host, wrong := splitAddress(address)
	if wrong != "" {
		d.report(path, "%s", wrong)
	}
	return host
}

func (d *document) checkLogins(at string, l *Logins) {
	functions := []struct {
		key, user string
		login     *Login
	}{
		{".exchange", "dbsts_exchange", &l.Exchange},
		{".revoke", "dbsts_revoke", &l.Revoke},
		{".sweep", "dbsts_sweep", &l.Sweep},
		{".migrate", "", &l.Migrate},
	}
	users := names{}
	for _, f := range functions {
		path := at + f.key
		if f.key == ".migrate" && !d.has(path) {
			continue
		}
		if !d.has(path+".user") && f.user != "" {
			f.login.User = f.user
		} else {
			d.checkIdentifier(path+".user", f.login.User, "the administrator's account")
		}
		d.unique(path+".user", f.login.User, users)
		d.checkSource(path, f.login)
	}
}

// checkSource checks where a password comes from, not that it is there: a function sees its own only.
func (d *document) checkSource(at string, l *Login) {
	switch file, env := d.has(at+".password_file"), d.has(at+".password_env"); {
	case file && env:
		d.report(at, "has both password_file and password_env: give one of the two")
	case !file && !env:
		d.report(at, "needs a password_file, or for local use a password_env")
	}
	l.PasswordFile = d.resolve(l.PasswordFile)
	if name := l.PasswordEnv; name != "" && !variableName.MatchString(name) {
		d.report(at+".password_env", "must be the name of an environment variable") // not repeated: it may be the password
	}
}
