package oauth_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
	"dbsts/shared/oauth"
)

const (
	base     = "https://sts.example"
	exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	types    = "urn:ietf:params:oauth:token-type:"
	password = "urn:dbsts:params:oauth:token-type:db-password"
	dsnType  = "urn:dbsts:params:oauth:token-type:db-dsn"
)

// fields is the least request that is accepted, changed as told; an empty list removes a parameter.
func fields(changes url.Values) url.Values {
	form := url.Values{
		"grant_type":         {exchange},
		"subject_token":      {"header.payload.signature"},
		"subject_token_type": {types + "id_token"},
		"audience":           {"shop"},
	}
	maps.Copy(form, changes)
	return form
}

// posted is a request with that body and the usual content type.
func posted(body string) oauth.Incoming {
	return oauth.Incoming{
		Header:    map[string]string{"content-type": "application/x-www-form-urlencoded"},
		Body:      []byte(body),
		SourceIP:  "192.0.2.7",
		RequestID: "request-1",
	}
}

// read is what the least request is read as.
func read(change func(*oauth.Exchange)) oauth.Exchange {
	x := oauth.Exchange{
		Request: broker.Request{
			Token:     logging.NewSecret("header.payload.signature"),
			Kind:      identity.IDToken,
			Target:    "shop",
			SourceIP:  "192.0.2.7",
			RequestID: "request-1",
		},
		TokenType: password,
	}
	change(&x)
	return x
}

var secrets = cmp.Comparer(func(a, b logging.Secret) bool { return a.Reveal() == b.Reveal() })

func TestAcceptedRequestsAreReadOnce(t *testing.T) {
	allow := func(name string, changes url.Values, want func(*oauth.Exchange)) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got, err := oauth.ParseExchange(posted(fields(changes).Encode()), base)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if diff := cmp.Diff(read(want), got, secrets); diff != "" {
				t.Error(diff)
			}
		})
	}
	none := func(*oauth.Exchange) {}

	allow("the least request", nil, none)
	allow("an empty value counts as absent", url.Values{
		"actor_token": {""}, "actor_token_type": {""}, "requested_token_type": {""}, "scope": {""}, "resource": {""},
		"ttl": {""}, "reason": {""}, "client_id": {""}, "client_secret": {""},
	}, none)
	allow("an unknown parameter is ignored", url.Values{"nonce": {"line\nfeed"}, "client_id": {"me"}}, none)
	allow("a JWT", url.Values{"subject_token_type": {types + "jwt"}}, func(x *oauth.Exchange) { x.Kind = identity.JWT })
	allow("an access token", url.Values{"subject_token_type": {types + "access_token"}}, func(x *oauth.Exchange) { x.Kind = identity.AccessToken })
	allow("Google's spelling of an ID token", url.Values{"subject_token_type": {types + "id-token"}}, none)
	allow("a resource instead of an audience", url.Values{"audience": nil, "resource": {base + "/db/shop"}}, none)
	allow("a resource that is escaped", url.Values{"audience": nil, "resource": {base + "/db/sh%6Fp"}}, none)
	allow("audience and resource that agree", url.Values{"audience": {"shop", "shop"}, "resource": {base + "/db/shop"}}, none)
	allow("roles, folded, in order", url.Values{"scope": {"b a  b"}}, func(x *oauth.Exchange) { x.Roles = []string{"b", "a"} })
	allow("roles with hostile names", url.Values{"scope": {`we"ird Üñí a'b;--`}}, func(x *oauth.Exchange) {
		x.Roles = []string{`we"ird`, "Üñí", "a'b;--"}
	})
	allow("twenty roles, each twice", url.Values{"scope": {twenty + " " + twenty}}, func(x *oauth.Exchange) { x.Roles = strings.Fields(twenty) })
	allow("a DSN by its type", url.Values{"requested_token_type": {dsnType}}, func(x *oauth.Exchange) { x.TokenType, x.DSN = dsnType, true })
	allow("a DSN by the word in scope", url.Values{"scope": {"a fmt:dsn"}}, func(x *oauth.Exchange) {
		x.Roles, x.TokenType, x.DSN = []string{"a"}, dsnType, true
	})
	allow("a bearer token", url.Values{"requested_token_type": {types + "access_token"}}, func(x *oauth.Exchange) { x.TokenType = types + "access_token" })
	allow("a bearer token that is a DSN", url.Values{"requested_token_type": {types + "access_token"}, "scope": {"fmt:dsn"}},
		func(x *oauth.Exchange) { x.TokenType, x.DSN = types+"access_token", true })
	allow("a lifetime", url.Values{"ttl": {"300"}}, func(x *oauth.Exchange) { x.Lifetime = 5 * time.Minute })
	allow("a lifetime longer than any", url.Values{"ttl": {"2147483647"}}, func(x *oauth.Exchange) { x.Lifetime = 2147483647 * time.Second })
	allow("a reason of 500 bytes", url.Values{"reason": {"INC-42 Größe" + strings.Repeat(".", 486)}}, func(x *oauth.Exchange) {
		x.Reason = "INC-42 Größe" + strings.Repeat(".", 486)
	})
	allow("a token of 16 KiB", url.Values{"subject_token": {strings.Repeat("t", 16<<10)}}, func(x *oauth.Exchange) {
		x.Token = logging.NewSecret(strings.Repeat("t", 16<<10))
	})
}

const twenty = "r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 r11 r12 r13 r14 r15 r16 r17 r18 r19 r20"

func TestRequestsWithAFaultAreRefused(t *testing.T) {
	deny := func(name string, changes url.Values, status int, reason string) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			mustRefuse(t, posted(fields(changes).Encode()), status, reason)
		})
	}
	const bad = http.StatusBadRequest

	for _, name := range []string{"grant_type", "subject_token", "subject_token_type", "audience"} {
		deny("without "+name, url.Values{name: nil}, bad, "parameter_missing")
		deny("with an empty "+name, url.Values{name: {""}}, bad, "parameter_missing")
	}
	for _, name := range []string{"grant_type", "subject_token", "scope", "ttl", "token", "unheard_of"} {
		deny("with "+name+" twice", url.Values{name: {"x", "x"}}, bad, "parameter_repeated")
		deny("with "+name+" twice, once empty", url.Values{name: {"", "x"}}, bad, "parameter_repeated")
	}
	deny("another grant type", url.Values{"grant_type": {"client_credentials"}}, bad, "grant_type")
	deny("an actor", url.Values{"actor_token": {"a.b.c"}}, bad, "parameter_invalid")
	deny("the type of an actor", url.Values{"actor_token_type": {types + "jwt"}}, bad, "parameter_invalid")
	deny("a SAML assertion", url.Values{"subject_token_type": {types + "saml2"}}, bad, "parameter_invalid")
	deny("a refresh token wanted", url.Values{"requested_token_type": {types + "refresh_token"}}, bad, "parameter_invalid")
	deny("a DSN and a bare password wanted", url.Values{"requested_token_type": {password}, "scope": {"fmt:dsn"}}, bad, "parameter_invalid")
	deny("a token over 16 KiB", url.Values{"subject_token": {strings.Repeat("t", 16<<10+1)}}, bad, "subject_token_invalid")
	deny("a client secret", url.Values{"client_secret": {"s"}}, http.StatusUnauthorized, "client_authentication")
	deny("a client assertion", url.Values{"client_assertion": {"a.b.c"}}, http.StatusUnauthorized, "client_authentication")
	deny("21 roles", url.Values{"scope": {twenty + " r21"}}, bad, "scope_refused")
	deny("a role longer than any", url.Values{"scope": {strings.Repeat("r", 256)}}, bad, "scope_refused")
	deny("a role that turns the text around", url.Values{"scope": {"a\u202eb"}}, bad, "scope_refused")
	deny("a control character", url.Values{"scope": {"a\tb"}}, bad, "parameter_invalid")
	deny("a line feed in the reason", url.Values{"reason": {"a\nb"}}, bad, "parameter_invalid")
	deny("an invisible character in the reason", url.Values{"reason": {"a\u200bb"}}, bad, "parameter_invalid")
	deny("a reason over 500 bytes", url.Values{"reason": {strings.Repeat("r", 501)}}, bad, "parameter_invalid")
	deny("NUL, even where nobody reads", url.Values{"x": {"\x00"}}, bad, "request_malformed")
	deny("broken UTF-8", url.Values{"x": {"\xff"}}, bad, "request_malformed")
	for _, ttl := range []string{"0", "-1", "+5", "1.5", "1e3", "5m", " 5", "0x10", "1_000", "2147483648", "٥"} {
		deny("a lifetime of "+ttl, url.Values{"ttl": {ttl}}, bad, "parameter_invalid")
	}
	deny("two targets", url.Values{"audience": {"shop", "till"}}, bad, "target_refused")
	deny("three targets, the first again", url.Values{"audience": {"shop", "till", "shop"}}, bad, "target_refused")
	deny("a resource elsewhere", url.Values{"audience": nil, "resource": {"https://other.example/db/shop"}}, bad, "target_refused")
	deny("a resource that disagrees", url.Values{"resource": {base + "/db/till"}}, bad, "target_refused")
	deny("a resource with a fragment", url.Values{"resource": {base + "/db/shop#a"}}, bad, "target_refused")
	deny("a resource with a query", url.Values{"resource": {base + "/db/shop?a"}}, bad, "target_refused")
	deny("a resource without a name", url.Values{"audience": nil, "resource": {base + "/db/"}}, bad, "target_refused")
	deny("a resource that hides a line feed", url.Values{"audience": nil, "resource": {base + "/db/a%0Ab"}}, bad, "target_refused")
	deny("a resource with a broken escape", url.Values{"audience": nil, "resource": {base + "/db/%zz"}}, bad, "target_refused")
	deny("a target longer than any", url.Values{"audience": {strings.Repeat("t", 256)}}, bad, "target_refused")
}

func TestTheFormItselfIsChecked(t *testing.T) {
	good := fields(nil).Encode()
	header := func(name, value string) func(*oauth.Incoming) {
		return func(in *oauth.Incoming) { in.Header[name] = value }
	}
	deny := func(name string, change func(*oauth.Incoming), status int, reason string) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			in := posted(good)
			change(&in)
			mustRefuse(t, in, status, reason)
		})
	}
	allow := func(name string, change func(*oauth.Incoming)) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			in := posted(good)
			change(&in)
			if _, err := oauth.ParseExchange(in, base); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
	const bad, media, client = http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnauthorized

	allow("a charset", header("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"))
	allow("empty Basic credentials", header("authorization", "Basic Og=="))
	body := func(more string, times int) func(*oauth.Incoming) {
		return func(in *oauth.Incoming) { in.Body = []byte(good + strings.Repeat(more, times)) }
	}
	allow("a hundred parameters", body("&", 99-strings.Count(good, "&")))
	deny("a hundred and one", body("&", 100-strings.Count(good, "&")), bad, "request_malformed")
	allow("a query that nobody reads", func(in *oauth.Incoming) { in.Query = "utm=1" })
	deny("no content type", func(in *oauth.Incoming) { in.Header = nil }, media, "content_type")
	deny("JSON", header("content-type", "application/json"), media, "content_type")
	deny("two content types", header("content-type", "application/x-www-form-urlencoded, application/json"), media, "content_type")
	deny("two content types that differ in case", header("Content-Type", "application/x-www-form-urlencoded"), media, "content_type")
	deny("Basic credentials", header("authorization", "Basic YTpi"), client, "client_authentication")
	deny("a bearer token", header("Authorization", "Bearer a.b.c"), client, "client_authentication")
	deny("two Authorization headers", header("authorization", "Basic Og==,Basic Og=="), client, "client_authentication")
	deny("a token in the query", func(in *oauth.Incoming) { in.Query = "subject%5Ftoken=a.b.c" }, bad, "secret_in_query")
	deny("a credential in the query", func(in *oauth.Incoming) { in.Query = "a=1&token=" }, bad, "secret_in_query")
	deny("a token behind a semicolon", func(in *oauth.Incoming) { in.Query = "a=1;subject_token=a" }, bad, "secret_in_query")
	deny("a body over 64 KiB", func(in *oauth.Incoming) { in.Body = make([]byte, 64<<10+1) }, http.StatusRequestEntityTooLarge, "body_too_large")
	deny("an empty body", func(in *oauth.Incoming) { in.Body = nil }, bad, "parameter_missing")
	deny("a semicolon", func(in *oauth.Incoming) { in.Body = []byte(good + ";a=b") }, bad, "request_malformed")
	deny("a broken escape", func(in *oauth.Incoming) { in.Body = []byte(good + "&a=%zz") }, bad, "request_malformed")
	deny("a name twice, once escaped", func(in *oauth.Incoming) { in.Body = []byte(good + "&grant%5Ftype=x") }, bad, "parameter_repeated")
}
