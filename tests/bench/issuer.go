package bench

import (
	"time"

	"dbsts/shared/config"
	"dbsts/shared/identity/identitytest"
	"dbsts/tests/shop"
)

// Issuer is the issuer that the shop's rules know. Its keys need no fetching.
func Issuer() config.Issuer {
	issuer := identitytest.Static(identitytest.Set(identitytest.JWK("bench", identitytest.RSAKey().Public(), nil)))
	issuer.Issuer, issuer.Replay = shop.Issuer, "allow"
	return issuer
}

// Token is an hour's ID token of an analyst of the shop, signed with RS256 and 2,048 bits, as by most providers.
func Token() string {
	now := time.Now()
	claims := identitytest.GoodClaims(now).With("iss", shop.Issuer).With("sub", Visitor).With("exp", now.Add(time.Hour).Unix()).
		With("groups", []string{"everyone", "staff", "analysts"}).With("tenant", "acme").With("email", "ada@example.test")
	return identitytest.Token("RS256", "bench", identitytest.RSAKey(), claims)
}
