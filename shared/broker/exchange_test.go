package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbsts/shared/broker"
	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
	"dbsts/shared/policy"
)

const rulesV1 = `{"rules":[{"id":"analysts","version":1,"effect":"allow","issuer":"https://issuer.test","target":"shop",
	"match":[{"claim":"groups","op":"has","value":"analysts"}],"roles":["app_read"],"max_ttl":900,"expose":["tenant"]},
	{"id":"by-oid","version":1,"effect":"allow","issuer":"https://issuer.test","target":"shop",
	"match":[{"claim":"groups","op":"has","value":"by-oid"}],"roles":["app_read"],"max_ttl":900,"identity":"oid"}],
	"roles":[{"target":"shop","role":"app_read","activation":"inherit","max_ttl":3600}]}`

const rulesV2 = `{"rules":[],"roles":[{"target":"shop","role":"app_read","activation":"inherit","max_ttl":3600}]}`

// database is a minter that remembers what it was told and whose rules can change under the exchange.
type database struct {
	version  int64
	docs     map[int64]string
	reads    int
	minted   []engine.Mint
	refused  []engine.Refusal
	failMint error
	down     bool
}

func (d *database) Policy(context.Context) (engine.Policy, error) {
	if d.down {
		return engine.Policy{}, engine.ErrUnavailable
	}
	d.reads++
	return engine.Policy{Version: d.version, AsOf: "2026-01-01T00:00:00Z", Doc: []byte(d.docs[d.version])}, nil
}

func (d *database) Mint(_ context.Context, m engine.Mint) (engine.Credential, error) {
	switch {
	case d.down:
		return engine.Credential{}, engine.ErrUnavailable
	case d.failMint != nil:
		return engine.Credential{}, d.failMint
	case m.PolicyVersion != d.version:
		return engine.Credential{}, engine.ErrStalePolicy
	}
	d.minted = append(d.minted, m)
	return engine.Credential{Grant: m.ID, Login: engine.LoginName(m.ID), Password: engine.Password(m.ID, m.Secret), Roles: m.Roles}, nil
}

func (d *database) Refuse(_ context.Context, r engine.Refusal) error {
	switch {
	case d.down:
		return engine.ErrUnavailable
	case r.PolicyVersion != 0 && r.PolicyVersion != d.version:
		return engine.ErrStalePolicy
	}
	d.refused = append(d.refused, r)
	return nil
}

func (d *database) Close() {}

// issuer verifies whatever it was made with.
type issuer struct {
	token identity.Token
	err   error
}

func (i issuer) Verify(context.Context, string, identity.Kind) (identity.Token, error) {
	return i.token, i.err
}

func tokenOf(groups ...any) identity.Token {
	return identity.Token{
		Issuer: "https://issuer.test", Subject: "ada", Identity: "ada", Key: "jti:1", IssuedAt: time.Unix(1000, 0), Expires: time.Unix(2000, 0),
		Claims: map[string]any{"sub": "ada", "groups": groups, "tenant": "acme"},
	}
}

func exchanger(verifier broker.Verifier, d *database) *broker.Exchanger {
	server := broker.NewServer(d)
	return broker.NewExchanger(verifier, map[string]broker.Terms{"https://issuer.test": {Replay: "reject", EndWithToken: true}},
		map[string]broker.Place{"shop": {Engine: "postgres", Host: "db.test", Port: 5432, Server: server}}, server)
}

func newDatabase() *database {
	return &database{version: 1, docs: map[int64]string{1: rulesV1, 2: rulesV2}}
}

func ask(target string, roles ...string) broker.Request {
	return broker.Request{Token: logging.NewSecret("token"), Kind: identity.IDToken, Target: target, Roles: roles, RequestID: "r1", SourceIP: "192.0.2.1"}
}

func TestATokenThatARuleAllowsBecomesALogin(t *testing.T) {
	d := newDatabase()
	answer, err := exchanger(issuer{token: tokenOf("analysts")}, d).Exchange(t.Context(), ask("shop"))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Host != "db.test" || answer.Port != 5432 || answer.Subject != "ada" {
		t.Errorf("answer says %+v", answer)
	}
	m := d.minted[0]
	want := engine.Mint{
		Subject: engine.Subject{
			Issuer: "https://issuer.test", Identity: "ada", Subject: "ada", TokenKey: "jti:1", IssuedAt: 1000, Expires: 2000,
			SourceIP: "192.0.2.1", Request: "r1",
		},
		ID: m.ID, Target: "shop", Secret: m.Secret, Roles: []string{"app_read"}, Rules: []engine.Rule{{ID: "analysts", Version: 1}}, Lifetime: 900,
		PolicyVersion: 1, PolicyAsOf: "2026-01-01T00:00:00Z", Claims: map[string]any{"groups": []any{"analysts"}, "tenant": "acme"},
		Exposed: map[string]any{"tenant": "acme"}, Replay: "reject", EndWithToken: true,
	}
	if diff := cmp.Diff(m, want, cmp.Comparer(func(a, b logging.Secret) bool { return a.Reveal() == b.Reveal() }),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Claims" }, cmp.Ignore())); diff != "" {
		t.Errorf("the wish differs (-got +want):\n%s", diff)
	}
}

func TestAChangedRuleBitesAtTheNextExchange(t *testing.T) {
	t.Run("for a grant", func(t *testing.T) {
		d := newDatabase()
		x := exchanger(issuer{token: tokenOf("analysts")}, d)
		mustExchange(t, x)
		d.version = 2 // the rule is gone; the exchanger still holds version 1
		_, err := x.Exchange(t.Context(), ask("shop"))
		if !errors.Is(err, policy.ErrNoRule) || len(d.minted) != 1 {
			t.Errorf("got %v after %d mints, want a refusal by the new rules", err, len(d.minted))
		}
	})
	t.Run("for a denial", func(t *testing.T) {
		d := newDatabase()
		d.version = 2
		x := exchanger(issuer{token: tokenOf("analysts")}, d)
		if _, err := x.Exchange(t.Context(), ask("shop")); !errors.Is(err, policy.ErrNoRule) {
			t.Fatalf("got %v, want a refusal", err)
		}
		d.version = 1
		mustExchange(t, x)
	})
	t.Run("and costs one read of the rules, not one for each exchange", func(t *testing.T) {
		d := newDatabase()
		x := exchanger(issuer{token: tokenOf("analysts")}, d)
		for range 5 {
			mustExchange(t, x)
		}
		if d.reads != 1 {
			t.Errorf("the rules were read %d times", d.reads)
		}
	})
}

func TestRefusalsGoOnRecord(t *testing.T) {
	proven := &identity.Error{Reason: identity.ReasonTokenTooOld, Proven: true, Token: tokenOf()}
	forged := &identity.Error{Reason: identity.ReasonSignatureInvalid}
	for name, c := range map[string]struct {
		verifier broker.Verifier
		request  broker.Request
		reason   string // on record; empty: none
		is       error
	}{
		"no rule":                        {issuer{token: tokenOf("guests")}, ask("shop"), "no_rule", policy.ErrNoRule},
		"a role that no rule gives":      {issuer{token: tokenOf("analysts")}, ask("shop", "app_owner"), "role_not_allowed", policy.ErrScope},
		"a rule's identity is missing":   {issuer{token: tokenOf("by-oid")}, ask("shop"), identity.ReasonIdentityMissing, identity.ErrInvalid},
		"an unknown target":              {issuer{token: tokenOf("analysts")}, ask("nowhere"), "target_unknown", broker.ErrUnknownTarget},
		"a proven token that is too old": {issuer{err: proven}, ask("shop"), identity.ReasonTokenTooOld, identity.ErrInvalid},
		"but not a forged token":         {issuer{err: forged}, ask("shop"), "", identity.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase()
			_, err := exchanger(c.verifier, d).Exchange(t.Context(), c.request)
			if !errors.Is(err, c.is) {
				t.Errorf("got %v, want %v", err, c.is)
			}
			if len(d.minted) != 0 {
				t.Errorf("minted %v", d.minted)
			}
			got := ""
			for _, r := range d.refused {
				got += r.Reason
			}
			if got != c.reason {
				t.Errorf("on record: %q, want %q", got, c.reason)
			}
		})
	}
}

func TestADeadDatabaseNeverTurnsARefusalIntoAGrant(t *testing.T) {
	d := newDatabase()
	allowed, refused := exchanger(issuer{token: tokenOf("analysts")}, d), exchanger(issuer{token: tokenOf("guests")}, d)
	mustExchange(t, allowed)
	if _, err := refused.Exchange(t.Context(), ask("shop")); !errors.Is(err, policy.ErrNoRule) {
		t.Fatal(err)
	}
	d.down = true
	if _, err := allowed.Exchange(t.Context(), ask("shop")); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("allowed: %v, want unavailable", err)
	}
	_, err := refused.Exchange(t.Context(), ask("shop"))
	var denied *broker.DeniedError
	if !errors.As(err, &denied) || !errors.Is(err, policy.ErrNoRule) || !errors.Is(denied.Unrecorded, engine.ErrUnavailable) {
		t.Errorf("refused: %v, want the refusal to stand, with a note that it is not on record", err)
	}
}

func TestTheCeilingOfTheDatabaseIsADenial(t *testing.T) {
	d := newDatabase()
	d.failMint = &engine.RefusedError{Reason: "role_unsafe"}
	_, err := exchanger(issuer{token: tokenOf("analysts")}, d).Exchange(t.Context(), ask("shop"))
	var denied *broker.DeniedError
	if !errors.As(err, &denied) || !errors.Is(err, engine.ErrRefused) || denied.Token.Subject != "ada" {
		t.Errorf("got %v, want a denial that knows who asked", err)
	}
}

func mustExchange(t *testing.T, x *broker.Exchanger) {
	t.Helper()
	if _, err := x.Exchange(t.Context(), ask("shop")); err != nil {
		t.Fatalf("exchange: %v", err)
	}
}
