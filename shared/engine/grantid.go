package engine

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"regexp"

	"dbsts/shared/logging"
)

// LoginPrefix starts every login and every password that dbsts mints, so that people and secret scanners know them.
const LoginPrefix = "dbsts_"

// grantBytes and secretBytes are the sizes of the two random parts: 128 and 256 bits (design §2.6, §2.14).
const (
	grantBytes  = 16
	secretBytes = 32
)

// encoding is lower-case RFC 4648 base32 without padding: 16 bytes are 26 characters, 32 bytes are 52.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// credential is the shape of a password: dbsts_<grant>_<secret>.
var credential = regexp.MustCompile(`\A` + LoginPrefix + `([a-z2-7]{26})_([a-z2-7]{52})\z`)

// errShape is deliberately silent about what was wrong.
var errShape = errors.New("not a dbsts credential")

// NewGrantID draws a grant id: 26 characters of [a-z2-7] that hold 128 random bits.
func NewGrantID() string { return draw(grantBytes) }

// NewSecret draws the secret half of a credential: 52 characters of [a-z2-7] that hold 256 random bits.
func NewSecret() logging.Secret { return logging.NewSecret(draw(secretBytes)) }

// LoginName is the database login of a grant: 32 bytes, the longest name that MySQL takes.
func LoginName(grant string) string { return LoginPrefix + grant }

// Password is the whole credential: what the client logs in with and what /revoke takes.
func Password(grant string, secret logging.Secret) logging.Secret {
	return logging.NewSecret(LoginName(grant) + "_" + secret.Reveal())
}

// ParsePassword splits a credential into grant id and secret.
func ParsePassword(password logging.Secret) (Possession, error) {
	parts := credential.FindStringSubmatch(password.Reveal())
	if parts == nil {
		return Possession{}, errShape
	}
	return Possession{Grant: parts[1], Secret: logging.NewSecret(parts[2])}, nil
}

func draw(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // crypto/rand.Read never fails: it ends the process instead (Go 1.24)
	return encoding.EncodeToString(raw)
}
