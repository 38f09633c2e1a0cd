// Package oauth is the protocol: RFC 8693 token exchange and RFC 7009 revocation in, replies and RFC 6749 errors out.
//
// It assumes that the transport has decoded the body and removed the stage from the path. It decides nothing about
// tokens, rules or databases, does no I/O and never formats an error's own text into an answer.
package oauth

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// Reply is one HTTP answer.
type Reply struct {
	Status int
	Header map[string]string // canonical names; never nil
	Body   []byte            // empty: none
}

// jsonReply writes body as JSON with the headers that RFC 6749 §5.1 asks of every answer that may hold a credential.
func jsonReply(status int, body any) Reply {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // a DSN holds &; no browser renders this
	if err := encoder.Encode(body); err != nil {
		// Only strings, numbers and lists of strings come here: encoding/json cannot fail on them.
		return Reply{Status: http.StatusInternalServerError, Header: privateHeader()}
	}
	reply := Reply{Status: status, Header: privateHeader(), Body: bytes.TrimSuffix(text.Bytes(), []byte("\n"))}
	reply.Header["Content-Type"] = "application/json"
	return reply
}

// privateHeader forbids every cache and every guess about the content.
func privateHeader() map[string]string {
	return map[string]string{
		"Cache-Control":          "no-store",
		"Pragma":                 "no-cache",
		"X-Content-Type-Options": "nosniff",
	}
}
