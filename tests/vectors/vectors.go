// Package vectors holds what others have written down about tokens that must and must not verify, and counts how the
// verifier of package identity does against it: Wycheproof's JOSE and ECDSA files and the examples of RFC 7515, 7520
// and 8037.
//
// Hardly any of these tokens carries claims: their payloads are "foo" or "Test", which the pipeline refuses before it
// has looked for a key. So they are tried in three ways:
//
//   - Signatures feeds each token, unchanged, to the part of the pipeline that comes before the claims: text, header,
//     key filter, key, signature. That part is not exported, so package identity's own test makes the call.
//   - This package's test signs good claims with Wycheproof's private keys, one token for each header of a group, and
//     sends them through the whole pipeline. So a refusal is due to the key or the header, not to a missing claim.
//   - This package's test sends every token, unchanged, through the whole pipeline as well. None may get in, and all that
//     are encrypted must be refused unread.
//
// The ECDSA files sign messages of their own choice, while a JWS signs "header.payload"; no token can carry such a
// message. But to a signature and a message belongs a public key (SEC 1 §4.1.6), so this package's test makes the key
// under which Wycheproof's signature fits our token.
//
// Where we differ from an author on purpose, testdata names the vector and the reason. A difference that is not named, or
// that is gone, fails the test. The package assumes the pinned version of Wycheproof; it does not test cryptography that
// the standard library tests with the same vectors.
package vectors

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/c2sp/wycheproof"
)

// The files of Wycheproof that are about tokens.
const (
	SignatureFile  = "json_web_signature_test.json"
	KeyFile        = "json_web_key_test.json"
	CryptoFile     = "json_web_crypto_test.json"
	EncryptionFile = "json_web_encryption_test.json"
)

// rfcFile names the examples that stand in RFCs, in Wycheproof's format. Their "public" is a JWK (RFC 7517), copied.
const rfcFile = "rfc.json"

//go:embed testdata/rfc.json
var rfcExamples []byte

// Vector is one token and what its author says about it.
type Vector struct {
	File    string
	ID      int // unique in its file
	Comment string
	Token   string // compact, or one of the JSON serializations as text
	JWE     bool   // encrypted
	Valid   bool
}

// Group is what shares keys.
type Group struct {
	Comment string
	KeySet  string            // the JWK set of the verifier; with secrets in it where the algorithm is symmetric
	Private []json.RawMessage // the JWKs that the tokens were signed with or encrypted for
	Vectors []Vector
}

// Groups reads one of the files. The error is that of reading JSON or of a name that is not there.
func Groups(file string) ([]Group, error) {
	doc := rfcExamples
	if file != rfcFile {
		var err error
		if doc, err = fs.ReadFile(wycheproof.TestVectors, file); err != nil {
			return nil, fmt.Errorf("read vectors: %w", err)
		}
	}
	var content struct {
		Count  int `json:"numberOfTests"`
		Groups []struct {
			Comment string          `json:"comment"`
			Public  json.RawMessage `json:"public"`
			Private json.RawMessage `json:"private"`
			Tests   []struct {
				ID      int             `json:"tcId"`
				Comment string          `json:"comment"`
				JWS     json.RawMessage `json:"jws"`
				JWE     json.RawMessage `json:"jwe"`
				Result  string          `json:"result"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	if err := json.Unmarshal(doc, &content); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	groups := make([]Group, 0, len(content.Groups))
	read := 0
	for _, g := range content.Groups {
		public := g.Public
		if public == nil {
			public = g.Private
		}
		group := Group{Comment: g.Comment, Private: members(g.Private)}
		set, err := json.Marshal(map[string]any{"keys": members(public)})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		group.KeySet = string(set)
		for _, test := range g.Tests {
			v := Vector{File: file, ID: test.ID, Comment: test.Comment, JWE: test.JWE != nil, Valid: test.Result == "valid"}
			if v.JWE {
				v.Token = text(test.JWE)
			} else {
				v.Token = text(test.JWS)
			}
			group.Vectors = append(group.Vectors, v)
		}
		read += len(group.Vectors)
		groups = append(groups, group)
	}
	if read != content.Count {
		return nil, fmt.Errorf("read %s: it has %d vectors and announces %d", file, read, content.Count)
	}
	return groups, nil
}

// members are the keys of a JWK set, or the one key that stands there instead.
func members(doc json.RawMessage) []json.RawMessage {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(doc, &set) == nil && set.Keys != nil {
		return set.Keys
	}
	if doc == nil {
		return []json.RawMessage{}
	}
	return []json.RawMessage{doc}
}

// text is a JSON string's content, or the text of any other JSON value.
func text(doc json.RawMessage) string {
	var s string
	if json.Unmarshal(doc, &s) == nil {
		return s
	}
	var compact bytes.Buffer
	if json.Compact(&compact, doc) != nil {
		return string(doc)
	}
	return compact.String()
}
