package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"dbsts/shared/engine"
)

// Retries: a collision in the catalog is over in milliseconds, so few tries with full jitter are enough.
const (
	maxTries  = 5
	firstWait = 20 * time.Millisecond
)

// outcome is the first member of every answer.
type outcome struct {
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Cause   string `json:"cause"` // of being stuck
}

// Policy implements engine.Minter.
func (e *Engine) Policy(ctx context.Context) (engine.Policy, error) {
	var answer struct {
		Version int64           `json:"version"`
		AsOf    string          `json:"as_of"`
		Policy  json.RawMessage `json:"policy"`
	}
	if err := e.call(ctx, "policy", &document{}, &answer); err != nil {
		return engine.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	return engine.Policy{Version: answer.Version, AsOf: answer.AsOf, Doc: answer.Policy}, nil
}

// Mint implements engine.Minter.
func (e *Engine) Mint(ctx context.Context, m engine.Mint) (engine.Credential, error) {
	password := engine.Password(m.ID, m.Secret)
	verifier, err := scramVerifier(password, e.iterations)
	if err != nil {
		return engine.Credential{}, err
	}
	var answer struct {
		outcome
		Login       string    `json:"login"`
		Database    string    `json:"database"`
		SessionRole string    `json:"session_role"`
		Roles       []string  `json:"roles"`
		ExpiresAt   time.Time `json:"expires_at"`
		ExpiresIn   int       `json:"expires_in"`
	}
	doc := struct {
		placed
		engine.Mint
		Verifier   string `json:"verifier"`
		SecretHash string `json:"secret_hash"`
	}{Mint: m, Verifier: verifier, SecretHash: secretHash(m.Secret)}
	if err := e.call(ctx, "mint", &doc, &answer); err != nil {
		return engine.Credential{}, fmt.Errorf("mint: %w", err)
	}
	switch answer.Outcome {
	case "minted":
		return engine.Credential{
			Grant: m.ID, Login: answer.Login, Password: password, Database: answer.Database, SessionRole: answer.SessionRole,
			Roles: answer.Roles, ExpiresAt: answer.ExpiresAt, ExpiresIn: answer.ExpiresIn,
		}, nil
	case "stale":
		return engine.Credential{}, engine.ErrStalePolicy
	default:
		return engine.Credential{}, &engine.RefusedError{Reason: answer.Reason}
	}
}

// Refuse implements engine.Minter.
func (e *Engine) Refuse(ctx context.Context, r engine.Refusal) error {
	var answer outcome
	doc := struct {
		placed
		engine.Refusal
	}{Refusal: r}
	if err := e.call(ctx, "refuse", &doc, &answer); err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	switch answer.Outcome {
	case "stale":
		return engine.ErrStalePolicy
	case "limited":
		return engine.ErrLimited
	default:
		return nil
	}
}

// Surrender implements engine.Revoker.
func (e *Engine) Surrender(ctx context.Context, p engine.Possession) error {
	var answer outcome
	if err := e.call(ctx, "surrender", &document{Grant: p.Grant, SecretHash: secretHash(p.Secret)}, &answer); err != nil {
		return fmt.Errorf("surrender: %w", err)
	}
	return answer.stuck()
}

// Silence implements engine.Revoker.
func (e *Engine) Silence(ctx context.Context, p engine.Possession, seen []engine.Stranger) (engine.Look, error) {
	var look engine.Look
	err := e.call(ctx, "silence", &document{Grant: p.Grant, SecretHash: secretHash(p.Secret), Seen: seen}, &look)
	if err != nil {
		return engine.Look{}, fmt.Errorf("silence: %w", err)
	}
	return look, nil
}

// Lease implements engine.Ender.
func (e *Engine) Lease(ctx context.Context, n int, hold time.Duration) ([]engine.Lease, error) {
	var answer struct {
		Leases []engine.Lease `json:"leases"`
	}
	if err := e.call(ctx, "lease", &document{N: n, Seconds: int(hold.Seconds())}, &answer); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	return answer.Leases, nil
}

// Block implements engine.Ender.
func (e *Engine) Block(ctx context.Context, ids []string) error {
	var answer outcome
	if err := e.call(ctx, "block", &document{IDs: ids}, &answer); err != nil {
		return fmt.Errorf("block: %w", err)
	}
	return answer.stuck()
}

// Kill implements engine.Ender.
func (e *Engine) Kill(ctx context.Context, ids []string, seen []engine.Stranger) (engine.Look, error) {
	var look engine.Look
	if err := e.call(ctx, "kill", &document{IDs: ids, Seen: seen}, &look); err != nil {
		return engine.Look{}, fmt.Errorf("kill: %w", err)
	}
	return look, nil
}

// Drop implements engine.Ender.
func (e *Engine) Drop(ctx context.Context, ids []string) error {
	var answer outcome
	if err := e.call(ctx, "drop", &document{IDs: ids}, &answer); err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	return answer.stuck()
}

// Postpone implements engine.Ender.
func (e *Engine) Postpone(ctx context.Context, id, cause string) error {
	var answer outcome
	if err := e.call(ctx, "postpone", &document{Grant: id, Cause: cause}, &answer); err != nil {
		return fmt.Errorf("postpone: %w", err)
	}
	return nil
}

// Reconcile implements engine.Ender.
func (e *Engine) Reconcile(ctx context.Context) (engine.Findings, error) {
	var found engine.Findings
	if err := e.call(ctx, "reconcile", &document{}, &found); err != nil {
		return engine.Findings{}, fmt.Errorf("reconcile: %w", err)
	}
	return found, nil
}

func (o outcome) stuck() error {
	if o.Outcome == "stuck" {
		return &engine.StuckError{Cause: o.Cause}
	}
	return nil
}

// placed is the part of every document that says which server we mean.
type placed struct {
	Server string `json:"server"`
}

func (p *placed) place(server string) { p.Server = server }

// document holds what the other routines take.
type document struct {
	placed
	IDs        []string          `json:"ids,omitempty"`
	Grant      string            `json:"grant,omitempty"`
	SecretHash string            `json:"secret_hash,omitempty"`
	Seen       []engine.Stranger `json:"seen,omitempty"`
	N          int               `json:"n,omitempty"`
	Seconds    int               `json:"seconds"` // always told: without it a lease is as long as it may be
	Cause      string            `json:"cause,omitempty"`
}

// call runs one routine: one statement, one transaction, one round trip. Collisions are tried again.
func (e *Engine) call(ctx context.Context, routine string, doc interface{ place(server string) }, answer any) error {
	doc.place(e.server)
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("%w: unencodable document", engine.ErrMisconfigured)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var raw []byte
	for try := 1; ; try++ {
		err = e.pool.QueryRow(ctx, "SELECT dbsts."+routine+"($1::jsonb)", string(text)).Scan(&raw)
		if err == nil || try == maxTries || !retryable(err) || !pause(ctx, try) {
			break
		}
	}
	if err != nil {
		return classify(err)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("%w: answer of %s", engine.ErrMisconfigured, routine)
	}
	return nil
}

// pause waits before another try: full jitter over a span that doubles. False: the time is up.
func pause(ctx context.Context, try int) bool {
	span := firstWait << (try - 1)
	timer := time.NewTimer(rand.N(span)) //nolint:gosec // jitter, not a secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
