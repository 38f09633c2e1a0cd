package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/policy"
)

// Error codes of RFC 6749 §5.2 and RFC 8693 §2.2.2. The last two are borrowed from RFC 6749 §4.1.2.1: the token endpoint
// has no words of its own for a server's faults.
const (
	codeRequest     = "invalid_request"
	codeClient      = "invalid_client"
	codeGrantType   = "unsupported_grant_type"
	codeTarget      = "invalid_target"
	codeScope       = "invalid_scope"
	codeUnavailable = "temporarily_unavailable"
	codeServer      = "server_error"
)

// Waits told in Retry-After, in whole seconds (RFC 9110 §10.2.3).
const (
	retryUnavailable = "5"
	retryQuota       = "30" // a quota counts live grants, and those take a while to end
)

// refusal is what one kind of error becomes. Reason is the closed list that docs and clients may rely on.
type refusal struct {
	status      int
	code        string
	reason      string
	description string // ASCII without quotes or backslashes (RFC 6749 §5.2)
	header      string // one more header, with value; empty: none
	value       string
}

// The refusals that several errors share. Unknown target, no rule and a deny rule are one and the same, byte for byte,
// so that names of targets do not leak.
var (
	badToken = refusal{
		http.StatusBadRequest, codeRequest, "subject_token_invalid", "The subject token was not accepted.", "", "",
	}
	badTarget = refusal{
		http.StatusBadRequest, codeTarget, "target_refused", "No credential is issued for this target.", "", "",
	}
	badScope = refusal{
		http.StatusBadRequest, codeScope, "scope_refused", "The requested roles are not granted.", "", "",
	}
	unavailable = refusal{
		http.StatusServiceUnavailable, codeUnavailable, "unavailable",
		"A system behind this service does not answer. Try again.", "Retry-After", retryUnavailable,
	}
	frozen = refusal{
		http.StatusServiceUnavailable, codeUnavailable, "frozen",
		"No credentials are issued at present.", "Retry-After", retryUnavailable,
	}
	overQuota = refusal{
		http.StatusTooManyRequests, codeUnavailable, "quota",
		"Too many live credentials. Try again later.", "Retry-After", retryQuota,
	}
	replayed = refusal{
		http.StatusBadRequest, codeRequest, "subject_token_replayed", "The subject token was used before.", "", "",
	}
	revoked = refusal{
		http.StatusBadRequest, codeRequest, "subject_token_revoked", "The subject token was issued before a revocation.", "", "",
	}
	internal = refusal{
		http.StatusInternalServerError, codeServer, "internal", "An internal error occurred.", "", "",
	}
)

// badRequest is a refusal for a fault of the request itself.
func badRequest(status int, reason, description string) refusal {
	return refusal{status, codeRequest, reason, description, "", ""}
}

// with adds a header.
func (r refusal) with(header, value string) refusal {
	r.header, r.value = header, value
	return r
}

// row says what one sentinel becomes.
type row struct {
	is   error
	then refusal
}

// table is THE error table; the first row that matches wins, and what matches none is internal. Denials stand before
// unavailability: one that could not be put on record is still a denial.
func table() []row {
	const bad = http.StatusBadRequest
	client := refusal{
		http.StatusUnauthorized, codeClient, "client_authentication", "Client authentication is not used here.", "", "",
	}
	return []row{
		{ErrForm, badRequest(bad, "request_malformed", "The request body is not a well-formed form.")},
		{ErrEvent, badRequest(bad, "request_malformed", "The request came in an unknown shape.")},
		{ErrBodyTooLarge, badRequest(http.StatusRequestEntityTooLarge, "body_too_large", "The request body is too large.")},
		{errContentType, badRequest(http.StatusUnsupportedMediaType, "content_type",
			"The request body must be application/x-www-form-urlencoded.")},
		{errQuery, badRequest(bad, "secret_in_query", "The query string is not read and must not hold secrets.")},
		{ErrPath, badRequest(http.StatusNotFound, "no_such_path", "Nothing is served at this path.")},
		{ErrNotPost, badRequest(http.StatusMethodNotAllowed, "method", "Only POST is served at this path.").with("Allow", "POST")},
		{ErrNotGet, badRequest(http.StatusMethodNotAllowed, "method", "Only GET is served at this path.").with("Allow", "GET")},
		{errMissing, badRequest(bad, "parameter_missing", "A parameter is missing")},
		{errRepeated, badRequest(bad, "parameter_repeated", "A parameter is repeated")},
		{errParameter, badRequest(bad, "parameter_invalid", "A parameter is invalid or not supported")},
		{errGrantType, refusal{bad, codeGrantType, "grant_type", "Only token exchange is supported.", "", ""}},
		{errClientHeader, client.with("WWW-Authenticate", `Basic realm="sts"`)}, // RFC 6749 §5.2
		{errClientParameter, client},
		{errToken, badToken},
		{identity.ErrInvalid, badToken}, // one text whatever was wrong; log and audit trail tell more
		{identity.ErrUnavailable, unavailable},
		{errScope, badScope},
		{broker.ErrUnknownTarget, badTarget},
		{policy.ErrNoRule, badTarget},
		{policy.ErrDenied, badTarget},
		{policy.ErrScope, badScope},
		{policy.ErrOverage, badRequest(bad, "claims_overage", "The subject token does not carry all of its claims.")},
		{policy.ErrLifetime, badRequest(bad, "lifetime_too_short", "The lifetime would be too short.")},
		{policy.ErrBroken, unavailable}, // an operator must mend it, and meanwhile nothing is minted; so too the next two
		{engine.ErrMisplaced, unavailable},
		{engine.ErrMisconfigured, unavailable},
		{engine.ErrUnavailable, unavailable},
		{engine.ErrStalePolicy, unavailable}, // rules kept changing while we decided
		{engine.ErrStuck, unavailable},
		{context.DeadlineExceeded, unavailable},
		{context.Canceled, unavailable},
	}
}

// FromError is the only place where errors become protocol. The answer holds fixed text alone; of err nothing but its
// kind, and the name of a parameter, is told. What it does not know is 500 server_error.
func FromError(err error, requestID string) Reply {
	r := refuse(err)
	body := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Reason      string `json:"reason"`
		RequestID   string `json:"request_id"`
	}{r.code, r.description, r.reason, requestID}
	reply := jsonReply(r.status, body)
	if r.header != "" {
		reply.Header[r.header] = r.value
	}
	return reply
}

// Reason says for the log, and only there, why: in the words of the package that refused, else in those of the answer.
func Reason(err error) string {
	if token, ok := errors.AsType[*identity.Error](err); ok {
		return token.Reason
	}
	if ceiling, ok := errors.AsType[*engine.RefusedError](err); ok {
		return ceiling.Reason
	}
	if errors.Is(err, engine.ErrUnknownGrant) {
		return "unknown_grant" // a success to the caller of /revoke
	}
	return refuse(err).reason
}

func refuse(err error) refusal {
	if parameter, ok := errors.AsType[*parameterError](err); ok {
		r := lookUp(parameter.err)
		if parameter.name != "" {
			r.description += ": " + parameter.name
		}
		r.description += "."
		return r
	}
	if ceiling, ok := errors.AsType[*engine.RefusedError](err); ok {
		return fromCeiling(ceiling.Reason)
	}
	return lookUp(err)
}

func lookUp(err error) refusal {
	for _, r := range table() {
		if errors.Is(err, r.is) {
			return r.then
		}
	}
	return internal
}

// fromCeiling translates the reasons of the mint routine. What is not listed is a refusal of the target: the decision
// and the database disagree, and the caller learns no more than that.
func fromCeiling(reason string) refusal {
	switch {
	case strings.HasPrefix(reason, "quota_"):
		return overQuota
	case strings.HasPrefix(reason, "role"): // role_unsafe and its like, roles_do_not_mix
		return badScope
	case reason == "replayed":
		return replayed
	case reason == "epoch_overtaken":
		return revoked
	case reason == "lifetime_too_short": // what is left of the token's life
		return lookUp(policy.ErrLifetime)
	case reason == "frozen":
		return frozen
	}
	return badTarget
}
