package oauth

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"dbsts/shared/broker"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
)

const grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 §2.1

// Token type URIs: three of RFC 8693 §3, two of our own, and a spelling that Google's clients send.
const (
	typeIDToken       = "urn:ietf:params:oauth:token-type:id_token"
	typeIDTokenGoogle = "urn:ietf:params:oauth:token-type:id-token"
	typeJWT           = "urn:ietf:params:oauth:token-type:jwt"
	typeAccessToken   = "urn:ietf:params:oauth:token-type:access_token"
	typePassword      = "urn:dbsts:params:oauth:token-type:db-password"
	typeDSN           = "urn:dbsts:params:oauth:token-type:db-dsn"
)

// wordDSN in scope asks for the DSN as access_token, for clients that cannot name a token type of ours and drop the
// extension members.
const wordDSN = "fmt:dsn"

const (
	maxRoles  = 20  // roles in one request, repetitions folded
	maxName   = 255 // bytes of a target or role name; longer than any database takes
	maxReason = 500 // bytes of the reason
)

// Exchange is one token request (RFC 8693 §2.1).
type Exchange struct {
	broker.Request
	TokenType string // URI of what to issue: typePassword, typeDSN or typeAccessToken
	DSN       bool   // access_token is the whole DSN, not the password alone
}

// ParseExchange reads a token request. Base is our own address; it starts the resource URIs. Whatever it returns holds
// no control character. Errors are for FromError; a request that cannot be read is refused before its token is looked at.
func ParseExchange(in Incoming, base string) (Exchange, error) {
	f, err := readForm(in)
	if err != nil {
		return Exchange{}, err
	}
	if err = checkGrant(f); err != nil {
		return Exchange{}, err
	}
	x := Exchange{Request: broker.Request{SourceIP: in.SourceIP, RequestID: in.RequestID}}
	if x.Token, x.Kind, err = subjectToken(f); err != nil {
		return Exchange{}, err
	}
	if x.Target, err = target(f, base); err != nil {
		return Exchange{}, err
	}
	if x.Roles, x.DSN, err = scope(f.get("scope")); err != nil {
		return Exchange{}, err
	}
	if x.TokenType, err = issue(f.get("requested_token_type"), x.DSN); err != nil {
		return Exchange{}, err
	}
	x.DSN = x.DSN || x.TokenType == typeDSN
	if x.Lifetime, err = lifetime(f.get("ttl")); err != nil {
		return Exchange{}, err
	}
	if x.Reason, err = reason(f.get("reason")); err != nil {
		return Exchange{}, err
	}
	return x, nil
}

// checkGrant wants token exchange without an actor: delegation (RFC 8693 §1.1) is not offered.
func checkGrant(f form) error {
	switch f.get("grant_type") {
	case grantTokenExchange:
	case "":
		return missing("grant_type")
	default:
		return errGrantType
	}
	for _, name := range []string{"actor_token", "actor_token_type"} {
		if f.get(name) != "" {
			return invalid(name)
		}
	}
	return nil
}

func subjectToken(f form) (logging.Secret, identity.Kind, error) {
	var none logging.Secret
	token, kind := f.get("subject_token"), identity.IDToken
	switch {
	case token == "":
		return none, kind, missing("subject_token")
	case len(token) > maxToken:
		return none, kind, errToken
	}
	switch f.get("subject_token_type") {
	case typeIDToken, typeIDTokenGoogle:
	case typeJWT:
		kind = identity.JWT
	case typeAccessToken:
		kind = identity.AccessToken
	case "":
		return none, kind, missing("subject_token_type")
	default:
		return none, kind, invalid("subject_token_type")
	}
	return logging.NewSecret(token), kind, nil
}

// target is the one target that all audience and resource parameters name. A malformed one is answered like an unknown
// one (RFC 8693 §2.2.2, RFC 8707 §2).
func target(f form, base string) (string, error) {
	names := f.all("audience")
	for _, resource := range f.all("resource") {
		path, ours := strings.CutPrefix(resource, base+"/db/")
		name, err := url.PathUnescape(path)
		if !ours || err != nil || strings.ContainsAny(path, "/?#") {
			return "", broker.ErrUnknownTarget
		}
		names = append(names, name)
	}
	names = slices.Compact(names)
	if len(names) == 0 {
		return "", missing("audience")
	}
	name := names[0]
	if len(names) > 1 || name == "" || len(name) > maxName || !printable(name) {
		return "", broker.ErrUnknownTarget
	}
	return name, nil
}

// scope splits the words at spaces and folds repetitions; it keeps the order. Role names may hold any other printable
// character, so this is wider than RFC 6749 §3.3.
func scope(text string) (roles []string, dsn bool, err error) {
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case word == "" || slices.Contains(roles, word):
		case word == wordDSN:
			dsn = true
		case len(roles) == maxRoles || len(word) > maxName || !printable(word):
			return nil, false, errScope
		default:
			roles = append(roles, word)
		}
	}
	return roles, dsn, nil
}

// issue is the type of token to issue. The word fmt:dsn makes a DSN the default; it contradicts only the explicit wish
// for a bare password.
func issue(requested string, dsn bool) (string, error) {
	switch requested {
	case "":
		if dsn {
			return typeDSN, nil
		}
		return typePassword, nil
	case typePassword:
		if dsn {
			return "", invalid("requested_token_type")
		}
		return typePassword, nil
	case typeDSN, typeAccessToken:
		return requested, nil
	}
	return "", invalid("requested_token_type")
}

// lifetime is whole seconds, decimal digits only; absent is 0. Rules shorten what is too long, so only what does not
// fit into 31 bits is refused here.
func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil || seconds == 0 {
		return 0, invalid("ttl")
	}
	return time.Duration(seconds) * time.Second, nil
}

func reason(text string) (string, error) {
	if len(text) > maxReason || !printable(text) {
		return "", invalid("reason")
	}
	return text, nil
}

// printable refuses control characters, line breaks and the invisible ones that reorder text.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
