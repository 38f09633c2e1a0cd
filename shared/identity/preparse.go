package identity

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

const (
	maxToken  = 16 << 10 // bytes of the compact form; hence at most 12 KiB of payload
	maxHeader = 1 << 10  // bytes of header JSON
	maxKeyID  = 128      // bytes of kid
)

// parsed is a token that is well formed and not yet believed.
type parsed struct {
	alg, kid, typ string // kid is empty when absent; typ in lower case without "application/", empty when absent
	payload       []byte // the decoded payload, as signed
	claims        map[string]any
}

// parse reads a compact JWS (RFC 7515 §7.1) in the one spelling that has exactly one meaning: canonical unpadded
// base64url, JSON without duplicate members. So two texts of one token differ in their signature only.
func parse(raw string) (parsed, *Error) {
	p, refusal := parseSigned(raw)
	if refusal != nil {
		return parsed{}, refusal
	}
	var err error
	if p.claims, err = strictObject(p.payload); err != nil || ambiguous(p.claims) {
		return parsed{}, refused(ReasonTokenMalformed)
	}
	return p, nil
}

// parseSigned reads everything but the claims: any payload will do.
func parseSigned(raw string) (parsed, *Error) {
	if len(raw) > maxToken || !compact(raw) {
		return parsed{}, refused(ReasonTokenMalformed)
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, signature, _ := strings.Cut(rest, ".")
	if base64.RawURLEncoding.DecodedLen(len(head)) > maxHeader {
		return parsed{}, refused(ReasonTokenMalformed)
	}
	header, err1 := decodeObject(head)
	payload, err2 := base64.RawURLEncoding.Strict().DecodeString(body)
	_, err3 := base64.RawURLEncoding.Strict().DecodeString(signature)
	if errors.Join(err1, err2, err3) != nil {
		return parsed{}, refused(ReasonTokenMalformed)
	}
	p := parsed{payload: payload}
	if refusal := p.readHeader(header); refusal != nil {
		return parsed{}, refusal
	}
	return p, nil
}

// compact tells whether s is three non-empty runs of base64url characters with a dot between them. Go's decoder skips
// line breaks, so the alphabet is checked here.
func compact(s string) bool {
	dots, run := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			run++
		case c == '.' && run > 0:
			dots, run = dots+1, 0
		default:
			return false
		}
	}
	return dots == 2 && run > 0
}

// readHeader takes the three members that we use and refuses those that would change how the token is to be read or
// that bring their own key (RFC 7515 §4.1, RFC 7797, RFC 8725 §3).
func (p *parsed) readHeader(header map[string]any) *Error {
	for _, name := range []string{"crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"} {
		if _, there := header[name]; there {
			return refused(ReasonHeaderNotAllowed)
		}
	}
	var ok bool
	if p.alg, ok = header["alg"].(string); !ok {
		return refused(ReasonTokenMalformed)
	}
	if kid, there := header["kid"]; there {
		if p.kid, ok = kid.(string); !ok || p.kid == "" || len(p.kid) > maxKeyID {
			return refused(ReasonHeaderNotAllowed)
		}
	}
	if typ, there := header["typ"]; there {
		if p.typ, ok = typ.(string); !ok || p.typ == "" {
			return refused(ReasonTokenMalformed)
		}
		p.typ = strings.TrimPrefix(strings.ToLower(p.typ), "application/") // RFC 7515 §4.1.9
	}
	return nil
}

// ambiguous tells whether a claim that we rely on also stands there in another case. encoding/json, and so go-oidc and
// many others, would read {"sub":"u","Sub":"admin"} as admin.
func ambiguous(claims map[string]any) bool {
	for name := range claims {
		if len(name) > len("_claim_sources")+2 { // folded letters have up to two bytes more
			continue
		}
		for _, ours := range []string{
			"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "sid", "typ", "cnf", "events", "nonce", "at_hash",
			"client_id", "token_use", "_claim_names", "_claim_sources", "hasgroups",
		} {
			if name != ours && strings.EqualFold(name, ours) {
				return true
			}
		}
	}
	return false
}

// decodeObject reads a part of the token that must be a JSON object.
func decodeObject(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, err
	}
	return strictObject(text)
}

var errNotStrict = errors.New("not one strict JSON object")

// strictObject reads one JSON object: UTF-8, no member twice at any depth, names in their exact case, numbers as
// json.Number, no U+0000 (PostgreSQL cannot store it), nothing after it.
func strictObject(doc []byte) (map[string]any, error) {
	if !utf8.Valid(doc) {
		return nil, errNotStrict
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.SetNumberType(json.UnmarshalJSONNumber)
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotStrict
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errNotStrict
	}
	if _, ok = standard(object); !ok {
		return nil, errNotStrict
	}
	return object, nil
}

// standard turns go-jose's numbers into encoding/json's, in place, and reports whether v is free of U+0000.
func standard(v any) (any, bool) {
	switch typed := v.(type) {
	case string:
		return v, strings.IndexByte(typed, 0) < 0
	case json.Number:
		return stdjson.Number(typed), true
	case map[string]any:
		for name, member := range typed {
			clean, ok := standard(member)
			if !ok || strings.IndexByte(name, 0) >= 0 {
				return nil, false
			}
			typed[name] = clean
		}
	case []any:
		for i, item := range typed {
			clean, ok := standard(item)
			if !ok {
				return nil, false
			}
			typed[i] = clean
		}
	}
	return v, true
}
