// Package engine is what a database must be able to do for dbsts, and the values that cross that border.
//
// It assumes that rules, catalogue and ledger live inside the database and that every method is one call of one
// published routine. It does not decide who may have what (package policy) and knows no driver, no AWS and no HTTP.
package engine

import (
	"context"
	"errors"
	"time"

	"dbsts/shared/logging"
)

// Sentinels. An engine wraps every error it returns in exactly one of them, chosen by SQLSTATE or error number, never
// by text. None of their texts holds a secret, a verifier or a token.
var (
	// ErrUnavailable: the server could not be reached, is starting, is read-only, or a lock was not to be had in time.
	// Nothing is known to have happened; the caller answers 503 and may try again.
	ErrUnavailable = errors.New("database unavailable")
	// ErrStalePolicy: rules or catalogue changed since Policy was read; nothing happened. Read the policy and decide again.
	ErrStalePolicy = errors.New("policy is stale")
	// ErrRefused: the database's own ceiling said no, after the decision said yes. Always wrapped in a *RefusedError.
	ErrRefused = errors.New("refused by the database")
	// ErrLimited: more refusals of this issuer's tokens than go on record in one minute; this one did not.
	ErrLimited = errors.New("too many refusals to record")
	// ErrUnknownGrant: no grant has that id and that secret.
	ErrUnknownGrant = errors.New("unknown grant")
	// ErrMisplaced: the server is not the one it was installed on (a clone, a restored snapshot, a wrong address).
	ErrMisplaced = errors.New("server is not the one dbsts was installed on")
	// ErrMisconfigured: a right, a routine or the installation itself is missing; only an operator can mend it.
	ErrMisconfigured = errors.New("database is not set up for dbsts")
	// ErrStuck: this grant's login cannot be blocked or dropped now. Always wrapped in a *StuckError.
	ErrStuck = errors.New("login cannot be ended yet")
)

// RefusedError carries the ceiling that refused a mint; the refusal is already in the audit trail.
type RefusedError struct {
	Reason string // closed list: see sql/routines/mint.sql
}

func (e *RefusedError) Error() string { return "refused by the database: " + e.Reason }

// Unwrap makes errors.Is(err, ErrRefused) hold.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// StuckError says why a login cannot be ended yet.
type StuckError struct {
	Cause string // machine word: locked, prepared, owned, sessions, rights, renamed, foreign
}

func (e *StuckError) Error() string { return "login cannot be ended yet: " + e.Cause }

// Unwrap makes errors.Is(err, ErrStuck) hold.
func (e *StuckError) Unwrap() error { return ErrStuck }

// Policy is the rules and the catalogue as the database tells them.
type Policy struct {
	Version int64  // bumped by every change of rules, catalogue and freeze switch
	AsOf    string // the database's clock when it was read, RFC 3339; rules that start or end later make it stale
	Doc     []byte // JSON, read by policy.Compile
}

// Rule names one rule row as it was when a decision was made.
type Rule struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
}

// Subject is who asks, as the token proved it.
type Subject struct {
	Issuer   string `json:"issuer"`        // exact iss
	Identity string `json:"identity"`      // value of the stable claim
	Subject  string `json:"subject"`       // sub
	SID      string `json:"sid,omitempty"` // OpenID Connect session id
	TokenKey string `json:"token_key"`     // jti, or SHA-256 of the payload: what a replay shares
	IssuedAt int64  `json:"token_iat"`     // seconds since the epoch
	Expires  int64  `json:"token_exp"`     // seconds since the epoch
	SourceIP string `json:"source_ip,omitempty"`
	Request  string `json:"request_id,omitempty"`
}

// Mint asks for one login. The database checks all of it again.
type Mint struct {
	Subject
	ID            string         `json:"grant"` // NewGrantID
	Target        string         `json:"target"`
	Secret        logging.Secret `json:"-"`     // the engine derives the verifier and the stored hash from it
	Roles         []string       `json:"roles"` // sorted
	Rules         []Rule         `json:"rules"` // those that gave the roles
	Lifetime      int            `json:"ttl"`   // seconds
	PolicyVersion int64          `json:"policy_version"`
	PolicyAsOf    string         `json:"policy_as_of"`
	Claims        map[string]any `json:"claims"`         // those that rules read
	Exposed       map[string]any `json:"exposed"`        // those that dbsts_api.claim() answers
	Replay        string         `json:"replay"`         // allow | reject
	EndWithToken  bool           `json:"end_with_token"` // the login does not outlive the token
	Reason        string         `json:"reason,omitempty"`
}

// Credential is a login that exists.
type Credential struct {
	Grant       string
	Login       string
	Password    logging.Secret
	Database    string
	SessionRole string // activation set: what the session must SET ROLE to; empty otherwise
	Roles       []string
	ExpiresAt   time.Time // the database's clock
	ExpiresIn   int       // whole seconds left when the database answered, rounded down
}

// Refusal is a denial to be recorded.
type Refusal struct {
	Subject
	Target        string `json:"target"`
	Reason        string `json:"reason"`
	Detail        any    `json:"detail,omitempty"` // which rules were tried and what failed; for the audit trail only
	PolicyVersion int64  `json:"policy_version"`   // 0: refused before any rule was read
	PolicyAsOf    string `json:"policy_as_of,omitempty"`
}

// Possession is a grant's id with the secret that proves the right to end it.
type Possession struct {
	Grant  string
	Secret logging.Secret
}

// Lease is one grant that this caller, and for a while no other, has to end.
type Lease struct {
	Grant    string `json:"grant"`
	Login    string `json:"login"`
	Cause    string `json:"cause"`
	Attempts int    `json:"attempts"`
}

// Stranger is a backend that is past the server's login check but that the server does not yet show under a user name.
// Two looks that both see the same stranger prove it older than the first.
type Stranger struct {
	PID  int    `json:"pid"`
	VXID string `json:"vxid"`
}

// Look is what one look for sessions found. Sessions and old strangers have been told to end by the same look.
type Look struct {
	Busy      []string   `json:"busy"`      // ids of the grants asked for that have a session
	Sessions  int        `json:"sessions"`  // how many sessions those are
	Strangers []Stranger `json:"strangers"` // hand these to the next look
	Lingering int        `json:"lingering"` // strangers that the look before had seen too
}

// Findings is what reconciliation of catalog and ledger found, and mended.
type Findings struct {
	Orphans   int `json:"orphans"`    // logins with our marker and no live row: now due to be ended
	Vanished  int `json:"vanished"`   // live rows whose login is gone: now ended
	Overtaken int `json:"overtaken"`  // live rows older than their epoch: now due to be ended
	Ghosts    int `json:"ghosts"`     // sessions of roles that no longer exist: terminated
	Due       int `json:"due"`        // rows that still wait to be ended
	OldestDue int `json:"oldest_due"` // seconds that the oldest of them is past its end
}

// Minter is what the exchange function may do. Safe for concurrent use.
type Minter interface {
	// Policy reads rules and catalogue. It changes nothing.
	Policy(ctx context.Context) (Policy, error)
	// Mint makes login, memberships, grant and audit rows in one step, or none of them. Calling it again with the same
	// id and secret answers the same credential, so a lost answer may be retried. Two concurrent calls with one id make one login.
	Mint(ctx context.Context, m Mint) (Credential, error)
	// Refuse records a denial. Not idempotent: each call is one row, up to a limit per issuer and minute (ErrLimited).
	Refuse(ctx context.Context, r Refusal) error
	Close()
}

// Revoker is what the revoke function may do: nothing without the secret of the grant. Safe for concurrent use.
type Revoker interface {
	// Surrender marks the grant as ended and blocks its login; committed when it returns. Ended already: no error.
	Surrender(ctx context.Context, p Possession) error
	// Silence is one look for that grant's sessions. A grant already dropped has none.
	Silence(ctx context.Context, p Possession, seen []Stranger) (Look, error)
	Close()
}

// Ender is what the sweep may do. Each method is one committed step and may be repeated; a grant that is already further
// on, or gone, is no error. Two sweeps at once share the work through Lease. Safe for concurrent use.
type Ender interface {
	// Lease marks what is due and claims up to n grants for the given time.
	Lease(ctx context.Context, n int, hold time.Duration) ([]Lease, error)
	// Block makes new logins impossible, for all ids or for none. ErrStuck: try the ids one by one; a single stuck login
	// has been stripped of its roles: Kill, then Block again.
	Block(ctx context.Context, ids []string) error
	// Kill is one look: it terminates what it sees and says how much that was.
	Kill(ctx context.Context, ids []string, seen []Stranger) (Look, error)
	// Drop removes the logins, for all ids or for none. Only after the proof. ErrStuck: try one by one.
	Drop(ctx context.Context, ids []string) error
	// Postpone gives a grant back after a failed attempt: it stays blocked and stripped, is tried again later, and is
	// quarantined when its login cannot be dropped. Cause is a short machine word.
	Postpone(ctx context.Context, id, cause string) error
	// Reconcile compares catalog and ledger both ways.
	Reconcile(ctx context.Context) (Findings, error)
	Close()
}
