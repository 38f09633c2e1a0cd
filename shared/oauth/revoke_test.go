package oauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/logging"
	"dbsts/shared/oauth"
)

func revocation(token string) oauth.Incoming {
	return posted(url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}.Encode())
}

func TestACredentialIsRevokedInEveryFormItWasIssuedIn(t *testing.T) {
	want := engine.Possession{Grant: grant, Secret: logging.NewSecret(secret)}
	for _, form := range []string{password, dsnType, types + "access_token"} {
		issued := members(t, asked(t, form, "").Issued(answer(func(a *broker.Answer) {
			a.Database, a.SessionRole = "a/b c", `we"ird \ Üñí`
		})))
		got, err := oauth.ParseRevocation(revocation(issued["access_token"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, secrets); diff != "" {
			t.Errorf("%s: %s", form, diff)
		}
	}
}

func TestATokenThatIsNoneOfOursIsNoError(t *testing.T) {
	for _, token := range []string{"x", minted + "x", "postgresql://u@h/d", "postgresql://u:p@h/d", "http://%zz", "a.b.c"} {
		_, err := oauth.ParseRevocation(revocation(token))
		if !errors.Is(err, engine.ErrUnknownGrant) {
			t.Errorf("%s: got %v", token, err)
		}
	}
}

func TestRevocationIsAnswered(t *testing.T) {
	_, noToken := oauth.ParseRevocation(posted("token="))
	_, lineFeed := oauth.ParseRevocation(revocation(minted + "\n"))
	for name, row := range map[string]struct {
		err    error
		status int
		wait   string
	}{
		"done":                                   {nil, http.StatusOK, ""},
		"unknown":                                {fmt.Errorf("surrender: %w", engine.ErrUnknownGrant), http.StatusOK, ""},
		"without a token":                        {noToken, http.StatusBadRequest, ""},
		"cut badly, so that its owner finds out": {lineFeed, http.StatusBadRequest, ""},
		"down":                                   {engine.ErrUnavailable, http.StatusServiceUnavailable, "5"},
		"sessions that will not end":             {engine.ErrStuck, http.StatusServiceUnavailable, "5"},
		"bug":                                    {errors.New("a bug"), http.StatusInternalServerError, ""},
	} {
		reply := oauth.Revoked(row.err, "request-1")
		if reply.Status != row.status || reply.Header["Retry-After"] != row.wait || reply.Header["Cache-Control"] != "no-store" {
			t.Errorf("%s: got %d %v", name, reply.Status, reply.Header)
		}
		if row.status == http.StatusOK && len(reply.Body) != 0 {
			t.Errorf("%s: a body: %s", name, reply.Body)
		}
	}
}

func TestMetadataNamesOurEndpointsAndNothingElse(t *testing.T) {
	reply := oauth.Metadata(base)
	want := map[string]any{
		"issuer": base, "token_endpoint": base + "/token", "revocation_endpoint": base + "/revoke",
		"token_endpoint_auth_methods_supported":      []any{"none"},
		"revocation_endpoint_auth_methods_supported": []any{"none"},
		"grant_types_supported":                      []any{exchange},
		"response_types_supported":                   []any{},
		"subject_token_types_supported":              []any{types + "id_token", types + "jwt", types + "access_token"},
		"requested_token_types_supported":            []any{password, dsnType, types + "access_token"},
	}
	if diff := cmp.Diff(want, members(t, reply)); diff != "" {
		t.Error(diff)
	}
	if got := reply.Header["Cache-Control"]; got != "public, max-age=300" {
		t.Errorf("Cache-Control: %s", got)
	}
}
