// Package broker holds the use cases: exchange a token for a login, revoke a login by its secret, sweep what is due.
//
// It assumes verified configuration and engines that keep their contract (package engine). It knows no HTTP, no AWS, no
// driver and no SQL, and it is the only package that asks an engine to mint.
package broker

import (
	"errors"
	"time"

	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/logging"
)

// ErrUnknownTarget: the caller asked for a target that the configuration does not name. To the caller it is the same
// answer as policy.ErrNoRule.
var ErrUnknownTarget = errors.New("unknown target")

// Request is one wish for a login, as a protocol layer read it.
type Request struct {
	Token     logging.Secret // the subject token: a compact JWS
	Kind      identity.Kind  // what kind of token the caller says it is
	Target    string         // configured name of a database
	Roles     []string       // asked for; empty: the default roles of the rules
	Lifetime  time.Duration  // asked for; 0: as long as the rules say; it only ever shortens
	Reason    string         // free text or ticket id, kept with the grant
	SourceIP  string
	RequestID string
}

// Answer is a login and where to use it.
type Answer struct {
	engine.Credential
	Target  string
	Engine  string // postgres
	Host    string
	Port    int
	Issuer  string // of the token, for the log line
	Subject string
}

// DeniedError is a refusal after the token's signature was proven. It unwraps to what refused: an identity, policy or
// engine error, or ErrUnknownTarget.
type DeniedError struct {
	Token      identity.Token
	Err        error
	Unrecorded error // the refusal stands, but the database could not be told: for the log
}

func (e *DeniedError) Error() string { return "denied: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *DeniedError) Unwrap() error { return e.Err }
