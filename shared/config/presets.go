package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Preset is what is known of one kind of issuer: defaults for what its configuration leaves out, and how its tokens look.
type Preset struct {
	Algorithms  []string
	MaxTokenAge time.Duration
	Replay      string
	Identity    string
	keys        derivation     // the issuer's key set, where its name tells
	shared      *regexp.Regexp // audiences that tokens for other services have too; nil: none is known
	ID          []Form         // how ID tokens, and JWTs of jobs and workloads, look
	Access      []Form         // how access tokens look; none: they are not taken
}

// Form is how one kind of token looks. A token has the form that lists its header typ.
type Form struct {
	Types    []string // header typ, lower case without "application/"; "" is a header without one
	Mark     string   // claim that tells the kind, and must be there; empty: none
	Says     string   // what it says, lower case
	Requires []string // claims that must be text that is not empty
	Audience string   // claim that names the audience where aud is absent; empty: none does
	Party    bool     // carries azp, so authorized_parties is needed
}

// derivation makes an address out of an issuer's name that has this shape.
type derivation struct {
	shape *regexp.Regexp
	uri   string // as for Regexp.ReplaceAllString
}

// PresetOf gives a preset by its name; the empty name is that of an issuer about which nothing is known.
func PresetOf(name string) (Preset, bool) {
	p, known := presets[name]
	if len(p.Algorithms) == 0 {
		p.Algorithms = []string{"RS256"}
	}
	if len(p.ID) == 0 {
		p.ID = []Form{{Types: []string{"", "jwt"}}} // RFC 7519 §5.1: typ is optional
	}
	p.MaxTokenAge = cmp.Or(p.MaxTokenAge, time.Hour)
	p.Replay = cmp.Or(p.Replay, "allow")
	p.Identity = cmp.Or(p.Identity, "sub")
	return p, known
}

// presetNames lists the presets that a configuration may name.
func presetNames() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(presets)), func(name string) bool { return name == "" })
}

// rfc9068 is how access tokens look by RFC 9068 §2.1 and §2.2.
var rfc9068 = Form{Types: []string{"at+jwt"}, Requires: []string{"client_id", "jti"}}

// presets, by name. What one leaves out, PresetOf fills in. Sources are the issuers' own documentation; docs/configuration.md says what to mind with each.
var presets = map[string]Preset{
	"": {
		Algorithms: []string{"RS256", "ES256"}, Access: []Form{rfc9068},
	},
	// A job asks for a new token whenever it needs one. The default audience is the owner's address.
	"github": {
		MaxTokenAge: 10 * time.Minute, Replay: "reject", Identity: "repository_id",
		keys:   derive(`https://token\.actions\.githubusercontent\.com(/[^/]+)?`, "$0/.well-known/jwks"),
		shared: regexp.MustCompile(`\Ahttps://github\.com/|\A(sts\.amazonaws\.com|api://AzureADTokenExchange|sigstore)\z`),
	},
	// A job's tokens are made when it starts, so they may be as old as the job.
	"gitlab": {
		Replay: "reject", Identity: "project_id",
		keys: derive(`https://[^/]+(/.*[^/])?`, "$0/oauth/discovery/keys"),
	},
	// Payload typ tells ID, Bearer, Refresh, Offline and Logout apart; the header says at+jwt only where the realm asks for it.
	"keycloak": {
		keys:   derive(`https://.+/realms/[^/]+`, "$0/protocol/openid-connect/certs"),
		shared: regexp.MustCompile(`\Aaccount\z`),
		ID:     []Form{{Types: []string{"", "jwt"}, Mark: "typ", Says: "id", Party: true}},
		Access: []Form{{Types: []string{"", "jwt", "at+jwt"}, Mark: "typ", Says: "bearer", Requires: []string{"azp", "jti"}, Party: true}},
	},
	// Access tokens are not taken: their sub is the user's login name, which can change hands.
	"okta": {
		keys:   derive(`https://[^/]+/oauth2/[^/]+`, "$0/v1/keys"),
		shared: regexp.MustCompile(`\Aapi://default\z`),
	},
	// sub differs from application to application. Access tokens say JWT in their header; azp tells them from ID tokens.
	"entra": {
		Identity: "oid",
		keys:     derive(`https://login\.microsoftonline\.com/([0-9a-f-]{36})/v2\.0`, "https://login.microsoftonline.com/$1/discovery/v2.0/keys"),
		shared:   regexp.MustCompile(`\A(00000003-0000-0000-c000-000000000000|https://(graph\.microsoft|management\.azure)\.com/?)\z`),
		Access:   []Form{{Types: []string{"jwt"}, Requires: []string{"azp", "oid", "tid"}, Party: true}},
	},
	// An API has one of two token profiles: Auth0's own, with azp, or RFC 9068.
	"auth0": {
		keys:   derive(`https://[^/]+/`, "$0.well-known/jwks.json"),
		shared: regexp.MustCompile(`/userinfo\z|\Ahttps://[^/]+/api/v2/\z`),
		Access: []Form{{Types: []string{"jwt"}, Requires: []string{"azp"}, Party: true}, rfc9068},
	},
	// Access tokens are no JWTs. The audience is that of gcloud auth print-identity-token, for everybody.
	"google": {
		keys:   derive(`https://accounts\.google\.com`, "https://www.googleapis.com/oauth2/v3/certs"),
		shared: regexp.MustCompile(`\A32555940559\.apps\.googleusercontent\.com\z`),
		ID:     []Form{{Types: []string{"", "jwt"}, Party: true}},
	},
	// Both kinds have a header without typ, and access tokens have an aud only where a resource was asked for.
	"cognito": {
		keys:   derive(`https://cognito-idp\.[^/]+/[^/]+`, "$0/.well-known/jwks.json"),
		ID:     []Form{{Types: []string{"", "jwt"}, Mark: "token_use", Says: "id"}},
		Access: []Form{{Types: []string{"", "jwt"}, Mark: "token_use", Says: "access", Requires: []string{"client_id", "jti"}, Audience: "client_id"}},
	},
	// Tokens are files that are read again and again. A service account's name can be used again, its uid cannot.
	"kubernetes": {
		Identity: "/kubernetes.io/serviceaccount/uid",
		keys:     derive(`https://oidc\.eks\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/id/[0-9A-F]+`, "$0/keys"),
		shared:   regexp.MustCompile(`\A(https://kubernetes\.default(\.svc(\.cluster\.local)?)?|sts\.amazonaws\.com)\z`),
	},
}

func derive(shape, uri string) derivation {
	return derivation{shape: regexp.MustCompile(`\A` + shape + `\z`), uri: uri}
}

// keySet gives the address of the issuer's key set; empty when its name does not tell.
func (p Preset) keySet(issuer string) string {
	if p.keys.shape == nil || !p.keys.shape.MatchString(issuer) {
		return ""
	}
	return p.keys.shape.ReplaceAllString(issuer, p.keys.uri)
}

// checkPreset gives the issuer's preset and reports what cannot go with it.
func (d *document) checkPreset(at string, is *Issuer) Preset {
	p, known := PresetOf(is.Preset)
	if !known {
		d.report(at+".preset", "%q is not known; take %s", is.Preset, strings.Join(presetNames(), ", "))
		p, _ = PresetOf("")
		return p
	}
	if is.Preset == "" {
		return p
	}
	for i, audience := range is.Audiences {
		if audience == is.Issuer && audience != "" || p.shared != nil && p.shared.MatchString(audience) {
			d.report(fmt.Sprintf("%s.audiences[%d]", at, i), "is a default of %s: tokens for other services have it too, and would be good here", is.Preset)
		}
	}
	if is.AccessTokens && len(p.Access) == 0 {
		d.report(at+".access_tokens", "access tokens of %s are not taken: use its ID tokens", is.Preset)
	}
	forms := slices.Clone(p.ID)
	if is.AccessTokens {
		forms = append(forms, p.Access...)
	}
	if slices.ContainsFunc(forms, func(f Form) bool { return f.Party }) {
		d.require(at+".authorized_parties", "tokens of "+is.Preset+" name their client in azp: list the clients that may present them")
	}
	if uri := p.keySet(is.Issuer); uri != "" && !d.has(at+".jwks_uri") && !d.has(at+".jwks") {
		is.JWKSURI = uri
	}
	return p
}
