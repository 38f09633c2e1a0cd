package vectors

import "testing"

// enoughWrong is how many signatures must have been checked and found wrong: a harness whose tokens are all refused early,
// for a reason of its own, proves nothing.
const enoughWrong = 250

// Signatures sends every signed token, unchanged, through a pipeline without its claims checks. A call of pipeline gives
// the verifier for a JWK set; that one gives the reason for which it refuses a token, or "".
func Signatures(t *testing.T, pipeline func(t *testing.T, keySet string) func(token string) string) {
	t.Helper()
	tally := NewTally(t, "signatures")
	for _, file := range []string{SignatureFile, KeyFile, CryptoFile, rfcFile} {
		groups, err := Groups(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			verify := pipeline(t, group.KeySet)
			for _, v := range group.Vectors {
				if !v.JWE {
					tally.Count(t, v, verify(v.Token))
				}
			}
		}
	}
	if bad := tally.Refused("signature_invalid"); bad < enoughWrong {
		t.Errorf("only %d signatures were found wrong, want %d", bad, enoughWrong)
	}
	tally.Close(t)
}
