package oauth_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/logging"
	"dbsts/shared/oauth"
)

const (
	grant  = "abcdefghijklmnopqrstuvwxyz"
	secret = grant + grant
	login  = "dbsts_" + grant
	minted = login + "_" + secret
)

// answer is a credential for the database shop, changed as told.
func answer(change func(*broker.Answer)) broker.Answer {
	a := broker.Answer{
		Credential: engine.Credential{
			Grant:     grant,
			Login:     login,
			Password:  logging.NewSecret(minted),
			Database:  "shop",
			Roles:     []string{"app_read", "app_write"},
			ExpiresAt: time.Date(2026, 11, 23, 18, 15, 0, 999_999_999, time.FixedZone("", 3600)),
			ExpiresIn: 899,
		},
		Target: "shop", Engine: "postgres", Host: "db.example", Port: 5432, Issuer: "https://idp.example", Subject: "alice",
	}
	change(&a)
	return a
}

// asked is a request for that token type and scope.
func asked(t *testing.T, tokenType, scope string) oauth.Exchange {
	t.Helper()
	form := fields(url.Values{"requested_token_type": {tokenType}, "scope": {scope}})
	x, err := oauth.ParseExchange(posted(form.Encode()), base)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func members(t *testing.T, reply oauth.Reply) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(reply.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestAPasswordIsIssuedWithEverythingToConnect(t *testing.T) {
	reply := asked(t, "", "").Issued(answer(func(*broker.Answer) {}))
	want := map[string]any{
		"access_token": minted, "issued_token_type": password, "token_type": "N_A", "expires_in": 899.0,
		"scope": "app_read app_write", "username": login, "host": "db.example", "port": 5432.0, "database": "shop",
		"engine": "postgresql", "tls": "verify-full", "grant_id": grant, "not_after": "2026-11-23T17:15:00Z",
		"dsn": "postgresql://" + login + "@db.example:5432/shop?sslmode=verify-full",
	}
	if diff := cmp.Diff(want, members(t, reply)); diff != "" {
		t.Error(diff)
	}
	if reply.Status != 200 {
		t.Errorf("status %d", reply.Status)
	}
	mustBePrivate(t, reply)
}

func TestTheFormAskedForDecidesWhereThePasswordStands(t *testing.T) {
	const full = "postgresql://" + login + ":" + minted + "@db.example:5432/shop?sslmode=verify-full"
	const bare = "postgresql://" + login + "@db.example:5432/shop?sslmode=verify-full"
	const bearer = types + "access_token"
	for name, row := range map[string]struct{ asked, scope, issued, kind, token, dsn string }{
		"password":        {password, "", password, "N_A", minted, bare},
		"DSN":             {dsnType, "", dsnType, "N_A", full, full},
		"word":            {"", "fmt:dsn", dsnType, "N_A", full, full},
		"bearer":          {bearer, "", bearer, "Bearer", minted, bare},
		"bearer and word": {bearer, "fmt:dsn", bearer, "Bearer", full, full},
	} {
		t.Run(name, func(t *testing.T) {
			got := members(t, asked(t, row.asked, row.scope).Issued(answer(func(*broker.Answer) {})))
			want := []any{row.issued, row.kind, row.token, row.dsn}
			if diff := cmp.Diff(want, []any{got["issued_token_type"], got["token_type"], got["access_token"], got["dsn"]}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestADSNBringsHostileNamesThrough(t *testing.T) {
	for _, name := range []string{"app_ddl", `we"ird`, "Üñí", `a\b c`, "tab\there", "a+b&c=d#e%20?/;:@", "-c x=y", "'; DROP--", `trailing\`} {
		t.Run(name, func(t *testing.T) {
			got := members(t, asked(t, dsnType, "").Issued(answer(func(a *broker.Answer) {
				a.Database, a.SessionRole, a.Host = name, name, "2001:db8::1"
			})))
			if got["session_role"] != name {
				t.Errorf("session_role: got %q", got["session_role"])
			}
			uri, err := url.Parse(got["dsn"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(uri.RawQuery, "+") {
				t.Errorf("libpq reads + as it stands: %s", uri.RawQuery)
			}
			if database := strings.TrimPrefix(uri.Path, "/"); database != name {
				t.Errorf("database: got %q", database)
			}
			if uri.Hostname() != "2001:db8::1" || uri.Port() != "5432" {
				t.Errorf("address: got %q", uri.Host)
			}
			if diff := cmp.Diff([]string{"-c", "role=" + name}, serverOptions(uri.Query().Get("options"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// serverOptions splits options as pg_split_opts in PostgreSQL's postinit.c does.
func serverOptions(text string) []string {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t\n\v\f\r")
		if text == "" {
			return words
		}
		var word strings.Builder
		escaped := false
		for text != "" && (escaped || !strings.ContainsRune(" \t\n\v\f\r", rune(text[0]))) {
			if !escaped && text[0] == '\\' {
				escaped = true
			} else {
				escaped = false
				word.WriteByte(text[0])
			}
			text = text[1:]
		}
		words = append(words, word.String())
	}
}
