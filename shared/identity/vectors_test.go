package identity

import (
	"errors"
	"slices"
	"testing"
	"time"

	"dbsts/shared/config"
	"dbsts/tests/vectors"
)

// Vectors that others wrote carry no claims of ours; package vectors tells what is tried where.
func TestSignaturesOfOthersAreJudgedAsTheirAuthorsSay(t *testing.T) {
	vectors.Signatures(t, withoutClaims)
}

// withoutClaims is Verify without what needs claims: steps 2, 3 and 5 shrink to the header's part of step 3. The issuer
// uses every algorithm that one can configure.
func withoutClaims(t *testing.T, keySetText string) func(raw string) string {
	t.Helper()
	set, err := parseKeys([]byte(keySetText))
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := config.PresetOf("")
	iss := &issuer{Issuer: config.Issuer{Algorithms: Algorithms()}, preset: plain, keys: &keySet{keys: set, now: time.Now}}
	return func(raw string) string {
		p, refusal := parseSigned(raw)
		if refusal != nil {
			return refusal.Reason
		}
		if _, refusal = iss.checkHeader(p, JWT); refusal != nil {
			return refusal.Reason
		}
		step := &signatureStep{keys: iss.keys, parsed: p}
		payload, err := step.VerifySignature(t.Context(), raw)
		switch {
		case errors.Is(err, ErrInvalid):
			return reasonOf(err)
		case err != nil || !step.proven || !slices.Equal(payload, p.payload):
			t.Fatalf("neither proven nor refused: %v", err)
		}
		return ""
	}
}
