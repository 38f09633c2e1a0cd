// Package issuer is an OpenID provider for the local stack: discovery, one RS256 key, and a token for whoever asks.
//
// It assumes that everybody on this machine may be anybody; it gives no token to another machine. It has no login and no flows.
package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Handler serves the issuer at url (https, no path). POST url/dev/token takes a JSON object of claims, at most 1 MiB, and
// answers {"id_token": "…"}; absent iss, aud, iat, exp (10 minutes later) and jti are filled in, and nothing else: the claims are signed as they came.
func Handler(url, audience string) (http.Handler, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	private := jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: "RS256", Use: "sig"}
	signer, signerErr := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: private}, (&jose.SignerOptions{}).WithType("JWT"))
	if err = errors.Join(err, signerErr); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	discovery := map[string]any{
		"issuer": url, "jwks_uri": url + "/keys", "authorization_endpoint": url + "/none", "response_types_supported": []string{"id_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { reply(w, discovery) })
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { reply(w, keys) })
	mux.HandleFunc("POST /dev/token", func(w http.ResponseWriter, r *http.Request) {
		if host, _, _ := net.SplitHostPort(r.RemoteAddr); !net.ParseIP(host).IsLoopback() {
			http.Error(w, "tokens are for this machine only", http.StatusForbidden)
			return
		}
		now := time.Now().Unix()
		claims := map[string]any{"iss": url, "aud": audience, "jti": rand.Text(), "iat": now, "exp": now + 600}
		var posted map[string]json.RawMessage
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&posted); err != nil {
			http.Error(w, "the body is a JSON object of claims", http.StatusBadRequest)
			return
		}
		for name, value := range posted {
			claims[name] = value
		}
		payload, _ := json.Marshal(claims) // text and what was JSON already
		token, err := signer.Sign(payload)
		if err != nil {
			http.Error(w, "cannot sign", http.StatusInternalServerError)
			return
		}
		compact, _ := token.CompactSerialize() // one signature: always possible
		reply(w, map[string]string{"id_token": compact})
	})
	return mux, nil
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
