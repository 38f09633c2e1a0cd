package oauth

import (
	"errors"
	"net/http"
	"net/url"

	"dbsts/shared/engine"
	"dbsts/shared/logging"
)

// ParseRevocation reads a revocation request (RFC 7009 §2.1). The token is a password or a DSN that holds one;
// token_type_hint is ignored. A token that is neither can belong to no grant: engine.ErrUnknownGrant.
func ParseRevocation(in Incoming) (engine.Possession, error) {
	f, err := readForm(in)
	if err != nil {
		return engine.Possession{}, err
	}
	token := f.get("token")
	if token == "" {
		return engine.Possession{}, missing("token")
	}
	possession, err := engine.ParsePassword(passwordOf(token))
	if err != nil {
		return engine.Possession{}, engine.ErrUnknownGrant
	}
	return possession, nil
}

// passwordOf takes the password out of a DSN; anything else is taken as the password itself.
func passwordOf(token string) logging.Secret {
	if uri, err := url.Parse(token); err == nil {
		if password, ok := uri.User.Password(); ok {
			return logging.NewSecret(password)
		}
	}
	return logging.NewSecret(token)
}

// Revoked is the answer to a revocation. An unknown or ended grant is a success, since there is nothing left to revoke
// (RFC 7009 §2.2). On 503 the client must assume that the credential still lives.
func Revoked(err error, requestID string) Reply {
	if err == nil || errors.Is(err, engine.ErrUnknownGrant) {
		return Reply{Status: http.StatusOK, Header: privateHeader()}
	}
	return FromError(err, requestID)
}
