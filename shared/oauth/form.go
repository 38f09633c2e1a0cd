package oauth

import (
	"bytes"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBody is the largest form that is read, in bytes after decoding (design, "Numbers and names").
const MaxBody = 64 << 10

// maxParameters is the most parameters that a form may have, ours and others' (ours are 16): each costs memory before
// anything is proven.
const maxParameters = 100

// maxToken is the longest token that is read, in bytes (design, "Numbers and names").
const maxToken = 16 << 10

// Incoming is one HTTP request as the transport decoded it.
type Incoming struct {
	Header    map[string]string // names in any case; repeated headers joined with commas, as API Gateway does
	Query     string            // raw; looked at only to refuse secrets in it
	Body      []byte            // decoded from base64
	SourceIP  string
	RequestID string
}

// header is the value of one header. Names that differ only in case are joined, so that no guess picks one of them.
func (in Incoming) header(name string) string {
	var found []string
	for key, value := range in.Header {
		if strings.EqualFold(key, name) {
			found = append(found, value)
		}
	}
	return strings.Join(found, ",")
}

// form is a body in which no parameter is repeated, but for audience and resource, and no text is hostile.
type form struct{ values url.Values }

// get is the value of a parameter. An empty value counts as absent (RFC 6749 §3.2).
func (f form) get(name string) string { return f.values.Get(name) }

// all is the values of a parameter that may be repeated, without the empty ones.
func (f form) all(name string) []string {
	var present []string
	for _, value := range f.values[name] {
		if value != "" {
			present = append(present, value)
		}
	}
	return present
}

// readForm reads the body once and refuses what both endpoints refuse: other content types, bodies over MaxBody,
// secrets in the query, too many or repeated parameters, control characters, client authentication.
func readForm(in Incoming) (form, error) {
	if len(in.Body) > MaxBody {
		return form{}, ErrBodyTooLarge
	}
	if !isForm(in.header("Content-Type")) {
		return form{}, errContentType
	}
	if !cleanQuery(in.Query) {
		return form{}, errQuery
	}
	if bytes.Count(in.Body, []byte("&")) >= maxParameters {
		return form{}, ErrForm
	}
	values, err := url.ParseQuery(string(in.Body))
	if err != nil {
		return form{}, ErrForm // not wrapped: the text quotes the body
	}
	if err := checkValues(values); err != nil {
		return form{}, err
	}
	f := form{values: values}
	return f, checkClient(in.header("Authorization"), f)
}

// isForm accepts the one content type of RFC 6749 §3.2. Parameters such as charset are tolerated; a comma means that
// the header was sent twice.
func isForm(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return !strings.Contains(contentType, ",") &&
		strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded")
}

// cleanQuery tells whether the query string is free of secrets. Query strings end in access logs, so a client that puts
// a token there must learn it at once.
func cleanQuery(query string) bool {
	if query == "" {
		return true
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	for _, name := range []string{"subject_token", "actor_token", "token", "client_secret", "client_assertion"} {
		if values.Has(name) {
			return false
		}
	}
	return true
}

// checkValues refuses repetition of any parameter, known or not (RFC 6749 §3.2), and hostile text: NUL and broken UTF-8
// anywhere, control characters in every parameter that is read.
func checkValues(values url.Values) error {
	for name, list := range values {
		known := isParameter(name)
		if len(list) > 1 && name != "audience" && name != "resource" {
			if !known {
				name = "" // do not echo what a stranger chose
			}
			return &parameterError{name: name, err: errRepeated}
		}
		for _, text := range append([]string{name}, list...) {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				return ErrForm
			}
			if known && strings.ContainsFunc(text, unicode.IsControl) {
				return &parameterError{name: name, err: errParameter}
			}
		}
	}
	return nil
}

// isParameter tells whether this package reads the parameter.
func isParameter(name string) bool {
	switch name {
	case "grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type",
		"audience", "resource", "scope", "ttl", "reason", "client_id", "client_secret", "client_assertion",
		"token", "token_type_hint":
		return true
	}
	return false
}

// checkClient refuses client authentication: the subject token, or the secret to be revoked, is the only proof. An empty
// id with an empty secret counts as none; golang.org/x/oauth2 sends it while it finds out what a server wants.
func checkClient(authorization string, f form) error {
	scheme, credentials, _ := strings.Cut(authorization, " ")
	empty := strings.EqualFold(scheme, "Basic") && credentials == "Og==" // base64 of ":"
	if authorization != "" && !empty {
		return errClientHeader
	}
	if f.get("client_secret") != "" || f.get("client_assertion") != "" {
		return errClientParameter
	}
	return nil
}
