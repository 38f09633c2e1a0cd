package oauth

import "errors"

// Faults of the request itself, found before the token is looked at. Those that a transport finds are exported.
var (
	// ErrForm: the body is no form, or holds NUL or broken UTF-8.
	ErrForm = errors.New("body is not a well-formed form")
	// ErrBodyTooLarge: the body is over MaxBody.
	ErrBodyTooLarge = errors.New("body is too large")
	// ErrEvent: the request did not come as an API Gateway payload of version 2.0.
	ErrEvent = errors.New("event is not payload version 2.0")
	// ErrPath: nothing is served at this path.
	ErrPath = errors.New("no such path")
	// ErrNotPost and ErrNotGet: the path is served, for that other method only.
	ErrNotPost = errors.New("method is not POST")
	ErrNotGet  = errors.New("method is not GET")

	errContentType     = errors.New("content type is not a form")
	errQuery           = errors.New("query string is unreadable or holds a secret")
	errMissing         = errors.New("parameter is missing")
	errRepeated        = errors.New("parameter is repeated")
	errParameter       = errors.New("parameter is invalid")
	errGrantType       = errors.New("grant type is not token exchange")
	errToken           = errors.New("subject token is too long")
	errScope           = errors.New("scope is invalid")
	errClientHeader    = errors.New("client authentication in the Authorization header")
	errClientParameter = errors.New("client authentication in the body")
)

// parameterError adds which parameter; the name is one of this package's own, or empty.
type parameterError struct {
	name string
	err  error
}

func (e *parameterError) Error() string { return e.err.Error() + ": " + e.name }

func (e *parameterError) Unwrap() error { return e.err }

func missing(name string) error { return &parameterError{name: name, err: errMissing} }

func invalid(name string) error { return &parameterError{name: name, err: errParameter} }
