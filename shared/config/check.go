package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of the settings that have some.
const (
	minTokenSpan        = time.Minute // shorter than clocks and networks need
	maxMaxTokenAge      = 24 * time.Hour
	defaultMaxTokenLife = 24 * time.Hour
	maxMaxTokenLife     = 7 * 24 * time.Hour

	minIterations = 4096    // the least that RFC 7677 §4 and the JDBC driver accept; the default, as the secret has 256 bits
	maxIterations = 100_000 // the server computes them while a login waits: beyond, it is a way to stop it

	maxIdentifier = 63 // bytes; NAMEDATALEN − 1 in PostgreSQL
)

var (
	supportedAlgorithms = []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}

	// mutableClaims can be changed, or given to somebody else, while access that hangs on them lasts. OpenID Connect
	// Core §5.7: only iss and sub together are stable; §5.1 says so of preferred_username.
	mutableClaims = []string{"email", "upn", "preferred_username", "unique_name", "name", "nickname", "phone_number"}

	serverName = regexp.MustCompile(`\A[a-z0-9][a-z0-9-]{0,62}\z`)
	targetName = regexp.MustCompile(`\A[a-z0-9][a-z0-9._:-]{0,63}\z`)
)

// check fills in the defaults and reports what is wrong with the values.
func (d *document) check(cfg *Config) {
	d.checkURL(cfg.URL)

	d.require("issuers", "at least one")
	issuers := names{}
	for i := range cfg.Issuers {
		at := fmt.Sprintf("issuers[%d]", i)
		d.checkIssuer(at, &cfg.Issuers[i])
		d.unique(at+".issuer", cfg.Issuers[i].Issuer, issuers)
	}

	d.require("servers", "at least one")
	servers := names{}
	for i := range cfg.Servers {
		at := fmt.Sprintf("servers[%d]", i)
		d.checkServer(at, &cfg.Servers[i])
		d.unique(at+".name", cfg.Servers[i].Name, servers)
	}

	d.require("targets", "at least one")
	targets, databases := names{}, names{}
	for i, target := range cfg.Targets {
		at := fmt.Sprintf("targets[%d]", i)
		d.checkTarget(at, target, servers)
		d.unique(at+".name", target.Name, targets)
		if target.Server != "" && target.Database != "" {
			d.unique(at+".database", target.Server+" "+target.Database, databases)
		}
	}
}

// names are values that must not come twice, each with the path where it stands.
type names map[string]string

func (d *document) unique(path, value string, seen names) {
	first, twice := seen[value]
	switch {
	case value == "": // missing, or reported already
	case twice:
		d.report(path, "is the same as %s in line %d", first, d.line(first))
	default:
		seen[value] = path
	}
}

// checkURL: the value is compared byte for byte by clients, and RFC 8414 §3 puts a path behind the well-known segment,
// where an API stage cannot serve it. So it is the bare origin.
func (d *document) checkURL(raw string) {
	if raw == "" {
		d.require("url", "the https address of this service, such as https://dbsts.example.com")
		return
	}
	u, wrong := parseURL(raw)
	switch {
	case wrong != "":
		d.report("url", "%s", wrong)
	case strings.Contains(raw, "?"):
		d.report("url", "must not have a query (?)")
	case u.Path == "/":
		d.report("url", "must not end in a slash: write https://%s", u.Host)
	case u.Path != "":
		d.report("url", "must not have a path: use a domain of its own or the stage $default")
	}
}

func (d *document) checkIssuer(at string, is *Issuer) {
	d.require(at+".issuer", "the exact iss claim of its tokens")
	if is.Issuer != "" {
		if _, wrong := parseURL(is.Issuer); wrong != "" {
			d.report(at+".issuer", "%s", wrong)
		} else if strings.Contains(is.Issuer, "?") {
			d.report(at+".issuer", "must not have a query (?)")
		}
	}
	d.require(at+".audiences", "at least one value that only tokens meant for this service have in aud")
	d.distinct(at+".audiences", is.Audiences)
	d.distinct(at+".extra_audiences", is.ExtraAudiences)
	d.distinct(at+".authorized_parties", is.AuthorizedParties)
	if d.has(at+".extra_audiences") && !d.has(at+".authorized_parties") {
		d.report(at+".extra_audiences", "does nothing without authorized_parties: a token with several audiences needs an azp that is listed there")
	}
	preset := d.checkPreset(at, is)
	d.checkAlgorithms(at+".algorithms", &is.Algorithms, preset.Algorithms)
	d.checkKeys(at, is)
	d.checkSpan(at+".max_token_age", &is.MaxTokenAge, preset.MaxTokenAge, maxMaxTokenAge)
	d.checkSpan(at+".max_token_life", &is.MaxTokenLife, defaultMaxTokenLife, maxMaxTokenLife)
	d.oneOf(at+".replay", &is.Replay, preset.Replay, "allow", "reject")
	d.checkIdentity(at+".identity", &is.Identity, preset.Identity)
}

func (d *document) checkAlgorithms(path string, algorithms *[]string, standard []string) {
	if !d.has(path) {
		*algorithms = slices.Clone(standard)
		return
	}
	d.distinct(path, *algorithms)
	for i, alg := range *algorithms {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case alg == "" || slices.Contains(supportedAlgorithms, alg):
		case strings.HasPrefix(alg, "HS"):
			d.report(at, "%s is not allowed: symmetric, so whoever can check a token could also sign one", alg)
		case strings.EqualFold(alg, "none"):
			d.report(at, "%s is not allowed: such tokens are not signed", alg)
		default:
			d.report(at, "%q is not supported; take %s", alg, strings.Join(supportedAlgorithms, ", "))
		}
	}
}

// checkKeys checks where the issuer's keys come from; the keys themselves are checked by who uses them.
func (d *document) checkKeys(at string, is *Issuer) {
	switch uri, set := d.has(at+".jwks_uri"), d.has(at+".jwks"); {
	case uri && set:
		d.report(at+".jwks", "stands beside jwks_uri: give one of the two")
	case !uri && !set && is.JWKSURI == "":
		d.report(at, "needs jwks_uri, or jwks if it cannot be reached")
	}
	if is.JWKSURI != "" {
		if _, wrong := parseURL(is.JWKSURI); wrong != "" {
			d.report(at+".jwks_uri", "%s", wrong)
		}
	}
	if is.JWKS != "" {
		var set map[string]json.RawMessage
		var keys []json.RawMessage
		if json.Unmarshal([]byte(is.JWKS), &set) != nil || json.Unmarshal(set["keys"], &keys) != nil || len(keys) == 0 {
			d.report(at+".jwks", `must be a JSON object whose member "keys" is a list of at least one key`)
		}
	}
	d.checkCertificates(at+".ca_file", &is.CAFile)
}

func (d *document) checkSpan(path string, span *time.Duration, standard, most time.Duration) {
	if !d.has(path) {
		*span = standard
		return
	}
	if *span < minTokenSpan || *span > most {
		d.report(path, "must be between %s and %s", plain(minTokenSpan), plain(most))
	}
}

// plain writes 24h, where time.Duration writes 24h0m0s.
func plain(span time.Duration) string {
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(span.String())
}

func (d *document) checkIdentity(path string, identity *string, standard string) {
	if !d.has(path) {
		*identity = standard
		return
	}
	claim := *identity
	if pointer, is := strings.CutPrefix(claim, "/"); is {
		// RFC 6901 §3: ~ is written ~0 and / is written ~1, nothing else follows a ~.
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(pointer), "~") {
			d.report(path, "is not a JSON Pointer: write ~0 for ~ and ~1 for /")
		}
		claim = pointer[strings.LastIndex(pointer, "/")+1:]
	}
	if slices.Contains(mutableClaims, strings.ToLower(claim)) {
		d.report(path, "%s can change or be given to someone else, who would then be the same person here: "+
			"take sub or another claim that the issuer never re-uses", claim)
	}
}

func (d *document) checkTarget(at string, target Target, servers names) {
	d.require(at+".name", "what callers ask for")
	if target.Name != "" && !targetName.MatchString(target.Name) {
		d.report(at+".name", "must be 1 to 64 of a-z, 0-9, dot, underscore, colon and hyphen, and start with a letter or digit")
	}
	d.require(at+".server", "the name of a server")
	if _, known := servers[target.Server]; target.Server != "" && !known {
		d.report(at+".server", "there is no server %q", target.Server)
	}
	d.checkIdentifier(at+".database", target.Database, "the database on that server")
}

// checkIdentifier checks that a name is there and fits into the server's catalog, where a longer one would be cut.
func (d *document) checkIdentifier(path, name, what string) {
	d.require(path, what)
	if len(name) > maxIdentifier {
		d.report(path, "is longer than %d bytes", maxIdentifier)
	}
}

// distinct reports what comes twice in one list.
func (d *document) distinct(path string, values []string) {
	seen := names{}
	for i, value := range values {
		d.unique(fmt.Sprintf("%s[%d]", path, i), value, seen)
	}
}

// oneOf checks a value that is one of few words.
func (d *document) oneOf(path string, value *string, standard string, words ...string) {
	if !d.has(path) {
		*value = standard
		return
	}
	if !slices.Contains(words, *value) {
		d.report(path, "must be %s", strings.Join(words, " or "))
	}
}
