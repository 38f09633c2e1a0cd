package oauth

import "net/http"

// Paths of the endpoints, below our own address. OpenIDPath is an alias of MetadataPath for clients that know only
// OpenID Connect Discovery.
const (
	TokenPath    = "/token"
	RevokePath   = "/revoke"
	MetadataPath = "/.well-known/oauth-authorization-server"
	OpenIDPath   = "/.well-known/openid-configuration"
)

// metadata is the RFC 8414 §2 document. It names no role and no target, and no key set: we sign nothing.
type metadata struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"` // required by RFC 8414; there is no authorization endpoint
	SubjectTokenTypes     []string `json:"subject_token_types_supported"`
	RequestedTokenTypes   []string `json:"requested_token_types_supported"`
}

// Metadata is the discovery document of the service at base, an https address without a path. Base comes from the
// configuration, never from the Host header. Caches may keep the answer for 300 seconds.
func Metadata(base string) Reply {
	reply := jsonReply(http.StatusOK, metadata{
		Issuer:                base,
		TokenEndpoint:         base + TokenPath,
		TokenAuthMethods:      []string{"none"},
		RevocationEndpoint:    base + RevokePath,
		RevocationAuthMethods: []string{"none"},
		GrantTypes:            []string{grantTokenExchange},
		ResponseTypes:         []string{},
		SubjectTokenTypes:     []string{typeIDToken, typeJWT, typeAccessToken},
		RequestedTokenTypes:   []string{typePassword, typeDSN, typeAccessToken},
	})
	reply.Header["Cache-Control"] = "public, max-age=300"
	delete(reply.Header, "Pragma")
	return reply
}
