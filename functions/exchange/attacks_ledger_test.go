package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"dbsts/shared/engine"
	"dbsts/shared/identity/identitytest"
)

// ledger is a database that keeps what it was told and has the ceilings that attacks on tokens run into.
type ledger struct {
	mu      sync.Mutex
	rules   string // the policy document
	epoch   bool   // every token is older than a revocation
	reads   int
	asked   int // mints asked for, even in vain
	minted  []engine.Mint
	refused []engine.Refusal
	spent   map[string]bool
}

func (l *ledger) Policy(context.Context) (engine.Policy, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	return engine.Policy{Version: 1, AsOf: "2026-11-23T12:00:00Z", Doc: []byte(l.rules)}, nil
}

func (l *ledger) Mint(_ context.Context, m engine.Mint) (engine.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	key := m.Issuer + " " + m.TokenKey
	switch {
	case m.Identity == "" || m.Subject.Subject == "" || m.TokenKey == "":
		return engine.Credential{}, engine.ErrMisconfigured // what the routine's "malformed document" becomes
	case l.epoch:
		return engine.Credential{}, &engine.RefusedError{Reason: "epoch_overtaken"}
	case m.Replay == "reject" && l.spent[key]:
		return engine.Credential{}, &engine.RefusedError{Reason: "replayed"}
	}
	if m.Replay == "reject" {
		l.spent[key] = true
	}
	l.minted = append(l.minted, m)
	return engine.Credential{
		Grant: m.ID, Login: engine.LoginName(m.ID), Password: engine.Password(m.ID, m.Secret), Database: "shop", Roles: m.Roles,
		ExpiresIn: m.Lifetime, ExpiresAt: time.Now().Add(time.Duration(m.Lifetime) * time.Second),
	}, nil
}

func (l *ledger) Refuse(_ context.Context, r engine.Refusal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, r)
	return nil
}

func (l *ledger) Close() {}

// touched is how much of the database a request has reached.
type touched struct {
	Reads, Asked, Minted int
	Refused              []string // reasons on record
}

// since gives what happened after an earlier look; nothing, when the look is the zero value.
func (l *ledger) since(before touched) touched {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := touched{Reads: l.reads - before.Reads, Asked: l.asked - before.Asked, Minted: len(l.minted) - before.Minted}
	for _, r := range l.refused[len(before.Refused):] {
		now.Refused = append(now.Refused, r.Reason)
	}
	return now
}

// rulesFor lets whoever satisfies match, a JSON array of conditions, have app_read and app_write on the shop.
func rulesFor(match string, issuers ...string) string {
	if len(issuers) == 0 {
		issuers = []string{identitytest.Issuer}
	}
	var rules []identitytest.Object
	for _, issuer := range issuers {
		rules = append(rules, identitytest.Object{
			"id": "rule of " + issuer, "version": 1, "effect": "allow", "issuer": issuer, "target": "shop", "match": json.RawMessage(match),
			"roles": []string{"app_read", "app_write"}, "default_roles": []string{"app_read"}, "max_ttl": 900, "expose": []string{"note"},
		})
	}
	return withRoles(rules)
}

func withRoles(rules []identitytest.Object) string {
	role := func(name string) identitytest.Object {
		return identitytest.Object{"target": "shop", "role": name, "activation": "inherit", "max_ttl": 3600}
	}
	return identitytest.Object{"rules": rules, "roles": []identitytest.Object{role("app_read"), role("app_write"), role("app_secret")}}.JSON()
}

// anybody is the condition that every token of these tests satisfies.
const anybody = `[{"claim":"sub","op":"present"}]`
