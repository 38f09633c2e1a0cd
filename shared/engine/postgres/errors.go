package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/shared/engine"
)

// SQLSTATEs that we tell apart. DSnnn are raised by our routines; the others are PostgreSQL's (manual, appendix A).
const (
	codeMisplaced        = "DS001"
	codePrepared         = "DS004"
	codeNotProven        = "DS005"
	codeUnknownGrant     = "DS006"
	codeForeign          = "DS010"
	codeDependentObjects = "2BP01"
	codeLockNotAvailable = "55P03"
	codeSerialization    = "40001"
	codeDeadlock         = "40P01"
	codeUniqueViolation  = "23505"
	codeDuplicateObject  = "42710"
	codeInternal         = "XX000" // tuple concurrently updated: two statements met on one catalog row
	codeReadOnly         = "25006"
	codeQueryCanceled    = "57014"
	codeAdminShutdown    = "57P01" // somebody has ended our session: a new one may do
)

// retryable tells whether the transaction was rolled back by a collision that another try may not meet.
func retryable(err error) bool {
	switch sqlstate(err) {
	case codeInternal, codeSerialization, codeDeadlock, codeLockNotAvailable, codeAdminShutdown:
		return true
	case codeUniqueViolation, codeDuplicateObject:
		return true // our own random id: an earlier try of ours has committed, and the next try will see it
	case "":
		var connect *pgconn.ConnectError
		return err != nil && !errors.As(err, &connect) // the connection broke under us; every routine may be repeated
	default:
		return false
	}
}

// classify wraps a driver error in the sentinel that says what it means. The server's text is not kept: it may quote.
func classify(err error) error {
	code := sqlstate(err)
	switch {
	case err == nil:
		return nil
	case code == codeMisplaced:
		return engine.ErrMisplaced
	case code == codeUnknownGrant:
		return engine.ErrUnknownGrant
	case code == codePrepared, code == codeNotProven, code == codeDependentObjects:
		return &engine.StuckError{Cause: stuck[code]}
	case code == "", retryable(err), code == codeReadOnly, code == codeQueryCanceled, class(code, "08", "53", "57"):
		return fmt.Errorf("%w: %s", engine.ErrUnavailable, brief(err, code))
	default: // 28 (authentication), 42 (rights, missing routine), DS002 and so on: an operator's business
		return fmt.Errorf("%w: %s", engine.ErrMisconfigured, brief(err, code))
	}
}

// stuck names why a login cannot be dropped yet; broker.Postpone takes these words.
var stuck = map[string]string{codePrepared: "prepared", codeNotProven: "sessions", codeDependentObjects: "owned"}

func sqlstate(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func class(code string, classes ...string) bool {
	for _, c := range classes {
		if len(code) == 5 && code[:2] == c {
			return true
		}
	}
	return false
}

// brief says enough for a log line: the SQLSTATE and, for our own errors, their fixed text; else the kind of failure.
func brief(err error, code string) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if class(code, "DS") {
			return code + " " + pg.Message
		}
		if class(code, "28") {
			return "the server refused the login or its password (SQLSTATE " + code + ")"
		}
		return "SQLSTATE " + code
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return "no connection: " + connectCause(connect)
	}
	return "connection lost"
}

// connectCause is the innermost reason why a connection failed; the outer texts repeat host and user.
func connectCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
