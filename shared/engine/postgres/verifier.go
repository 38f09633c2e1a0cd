package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"dbsts/shared/logging"
)

// saltBytes is the salt length of the server's own verifiers (src/include/common/scram-common.h).
const saltBytes = 16

// scramVerifier is what PostgreSQL stores for a password (RFC 5803; manual, pg_authid):
// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>. Our passwords are ASCII, so SASLprep changes nothing.
func scramVerifier(password logging.Secret, iterations int) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt)
	return scramVerifierSalted(password, iterations, salt)
}

func scramVerifierSalted(password logging.Secret, iterations int, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password.Reveal(), salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive verifier: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key")) // RFC 5802 §3
	server := mac(salted, "Server Key")
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(server)), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// secretHash is what the ledger keeps of a secret: SHA-256, in hex. The secret has 256 random bits, so no salt is needed.
func secretHash(secret logging.Secret) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:])
}
