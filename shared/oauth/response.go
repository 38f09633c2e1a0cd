package oauth

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dbsts/shared/broker"
)

// postgres is config.Server.Engine; protocolName is what clients and drivers call it.
const (
	postgres     = "postgres"
	protocolName = "postgresql"
)

// issued is the success response: RFC 8693 §2.2.1, and from username on extension members, which clients that do not
// know them ignore (RFC 6749 §5.1).
type issued struct {
	AccessToken     string `json:"access_token"` // the password, or the DSN that holds it
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"` // seconds by the database's clock, rounded down
	Scope           string `json:"scope"`      // granted roles
	Username        string `json:"username"`
	Host            string `json:"host"`
	Port            int    `json:"port"`
	Database        string `json:"database"`
	Engine          string `json:"engine"`
	TLS             string `json:"tls"` // how the client is to verify the server
	GrantID         string `json:"grant_id"`
	NotAfter        string `json:"not_after"` // RFC 3339, UTC, whole seconds
	SessionRole     string `json:"session_role,omitempty"`
	DSN             string `json:"dsn"` // holds the password only when access_token is the DSN too
}

// Issued is the answer to x. There is never a refresh token: another exchange is the only renewal. The token type is
// Bearer only when the caller asked for an access token; some clients know nothing else.
func (x Exchange) Issued(a broker.Answer) Reply {
	body := issued{
		AccessToken:     a.Password.Reveal(),
		IssuedTokenType: x.TokenType,
		TokenType:       "N_A", // RFC 8693 §2.2.1: not usable as an OAuth access token
		ExpiresIn:       a.ExpiresIn,
		Scope:           strings.Join(a.Roles, " "),
		Username:        a.Login,
		Host:            a.Host,
		Port:            a.Port,
		Database:        a.Database,
		Engine:          engineName(a.Engine),
		TLS:             "verify-full",
		GrantID:         a.Grant,
		NotAfter:        a.ExpiresAt.UTC().Format(time.RFC3339),
		SessionRole:     a.SessionRole,
		DSN:             dsn(a, url.User(a.Login)),
	}
	if x.TokenType == typeAccessToken {
		body.TokenType = "Bearer"
	}
	if x.DSN {
		body.DSN = dsn(a, url.UserPassword(a.Login, a.Password.Reveal()))
		body.AccessToken = body.DSN
	}
	return jsonReply(http.StatusOK, body)
}

func engineName(configured string) string {
	if configured == postgres {
		return protocolName
	}
	return configured
}

// dsn is a connection URI as the PostgreSQL manual, "Connection URIs", defines it: every part percent-encoded, a space
// as %20, since libpq takes + literally. The session role travels in options.
func dsn(a broker.Answer, user *url.Userinfo) string {
	address := net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
	uri := engineName(a.Engine) + "://" + user.String() + "@" + address + "/" + url.PathEscape(a.Database) + "?sslmode=verify-full"
	if a.SessionRole != "" {
		uri += "&options=" + percent("-c role="+optionValue(a.SessionRole))
	}
	return uri
}

// optionValue escapes a value for the startup option -c. The server splits options at white space and drops one
// backslash before each character (pg_split_opts in postinit.c); the name of a role is then taken as it stands.
func optionValue(value string) string {
	return strings.NewReplacer(
		`\`, `\\`, " ", `\ `, "\t", "\\\t", "\n", "\\\n", "\v", "\\\v", "\f", "\\\f", "\r", "\\\r",
	).Replace(value)
}

// percent is url.QueryEscape for readers that know no + for a space.
func percent(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
