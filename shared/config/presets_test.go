package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/config"
)

// issuerOf parses the minimal document with another issuer, given as YAML after its name.
func issuerOf(t *testing.T, name, settings string) (config.Issuer, error) {
	t.Helper()
	doc := edit(t, "https://idp.example.com/\n    audiences: [dbsts]\n    jwks_uri: https://idp.example.com/keys", name+settings)
	cfg, err := config.Parse([]byte(doc), "testdata")
	if err != nil {
		return config.Issuer{}, err
	}
	return cfg.Issuers[0], nil
}

func TestAPresetFillsInWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	const azp = "\n    authorized_parties: [cli]"
	for _, c := range []struct {
		preset, issuer, more string
		keys, identity       string
		replay               string
		age                  time.Duration
	}{
		{"github", "https://token.actions.githubusercontent.com", "", "https://token.actions.githubusercontent.com/.well-known/jwks", "repository_id", "reject", 10 * time.Minute},
		{"github", "https://token.actions.githubusercontent.com/acme", "", "https://token.actions.githubusercontent.com/acme/.well-known/jwks", "repository_id", "reject", 10 * time.Minute},
		{"gitlab", "https://gitlab.com", "", "https://gitlab.com/oauth/discovery/keys", "project_id", "reject", time.Hour},
		{"gitlab", "https://git.example.com/gitlab", "", "https://git.example.com/gitlab/oauth/discovery/keys", "project_id", "reject", time.Hour},
		{"keycloak", "https://kc.example/realms/acme", azp, "https://kc.example/realms/acme/protocol/openid-connect/certs", "sub", "allow", time.Hour},
		{"okta", "https://acme.okta.com/oauth2/aus123", "", "https://acme.okta.com/oauth2/aus123/v1/keys", "sub", "allow", time.Hour},
		{
			"entra", "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0", "",
			"https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/discovery/v2.0/keys", "oid", "allow", time.Hour,
		},
		{"auth0", "https://acme.eu.auth0.com/", "", "https://acme.eu.auth0.com/.well-known/jwks.json", "sub", "allow", time.Hour},
		{"google", "https://accounts.google.com", azp, "https://www.googleapis.com/oauth2/v3/certs", "sub", "allow", time.Hour},
		{
			"cognito", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC", "",
			"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC/.well-known/jwks.json", "sub", "allow", time.Hour,
		},
		{
			"kubernetes", "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", "",
			"https://oidc.eks.eu-west-1.amazonaws.com/id/ABC/keys", "/kubernetes.io/serviceaccount/uid", "allow", time.Hour,
		},
	} {
		got, err := issuerOf(t, c.issuer, "\n    audiences: [dbsts]\n    preset: "+c.preset+c.more)
		if err != nil {
			t.Errorf("%s: %v", c.preset, err)
			continue
		}
		want := config.Issuer{
			Issuer: c.issuer, Preset: c.preset, Audiences: []string{"dbsts"}, AuthorizedParties: got.AuthorizedParties, Algorithms: []string{"RS256"},
			JWKSURI: c.keys, MaxTokenAge: c.age, MaxTokenLife: 24 * time.Hour, Replay: c.replay, Identity: c.identity,
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s: got (-), want (+):\n%s", c.preset, diff)
		}
	}
}

func TestWhatIsWrittenCountsMoreThanThePreset(t *testing.T) {
	t.Parallel()
	got, err := issuerOf(t, "https://token.actions.githubusercontent.com", `
    audiences: [dbsts]
    preset: github
    algorithms: [ES256]
    jwks_uri: https://mirror.example.com/keys
    max_token_age: 5m
    replay: allow
    identity: repository_owner_id`)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Issuer{
		Issuer: "https://token.actions.githubusercontent.com", Preset: "github", Audiences: []string{"dbsts"}, Algorithms: []string{"ES256"},
		JWKSURI: "https://mirror.example.com/keys", MaxTokenAge: 5 * time.Minute, MaxTokenLife: 24 * time.Hour, Replay: "allow", Identity: "repository_owner_id",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

func TestWhatDoesNotGoWithAPreset(t *testing.T) {
	t.Parallel()
	const (
		github = "https://token.actions.githubusercontent.com"
		shared = ": tokens for other services have it too, and would be good here"
		azp    = "line 3: issuers[0].authorized_parties: is missing: tokens of "
		party  = " name their client in azp: list the clients that may present them"
	)
	for _, c := range []struct{ issuer, settings, want string }{
		{github, "\n    audiences: [dbsts]\n    preset: GitHub\n    jwks_uri: https://idp.example.com/keys", `line 5: issuers[0].preset: "GitHub" is not known; ` +
			"take auth0, cognito, entra, github, gitlab, google, keycloak, kubernetes, okta"},
		{github, "\n    audiences: [https://github.com/acme]\n    preset: github", "line 4: issuers[0].audiences[0]: is a default of github" + shared},
		{"https://gitlab.com", "\n    audiences: [https://gitlab.com]\n    preset: gitlab", "line 4: issuers[0].audiences[0]: is a default of gitlab" + shared},
		{
			"https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", "\n    audiences: [dbsts, https://kubernetes.default.svc]\n    preset: kubernetes",
			"line 4: issuers[0].audiences[1]: is a default of kubernetes" + shared,
		},
		{"https://kubernetes.default.svc", "\n    audiences: [dbsts]\n    preset: kubernetes", "line 3: issuers[0]: needs jwks_uri, or jwks if it cannot be reached"},
		{
			"https://kc.example/realms/acme", "\n    audiences: [account]\n    preset: keycloak\n    authorized_parties: [cli]",
			"line 4: issuers[0].audiences[0]: is a default of keycloak" + shared,
		},
		{"https://kc.example/realms/acme", "\n    audiences: [dbsts]\n    preset: keycloak", azp + "keycloak" + party},
		{"https://accounts.google.com", "\n    audiences: [dbsts]\n    preset: google", azp + "google" + party},
		{"https://acme.auth0.com/", "\n    audiences: [dbsts]\n    preset: auth0\n    access_tokens: true", azp + "auth0" + party},
		{
			"https://acme.okta.com/oauth2/aus123", "\n    audiences: [dbsts]\n    preset: okta\n    access_tokens: true",
			"line 6: issuers[0].access_tokens: access tokens of okta are not taken: use its ID tokens",
		},
		{"accounts.google.com", "\n    audiences: [dbsts]\n    preset: google\n    authorized_parties: [cli]\n    jwks_uri: https://idp.example.com/keys", "line 3: issuers[0].issuer: must start with https://"},
	} {
		_, err := issuerOf(t, c.issuer, c.settings)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s%s:\ngot\n%v\nwant\n%s", c.issuer, c.settings, err, c.want)
		}
	}
}
