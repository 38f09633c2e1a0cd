package logging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"dbsts/shared/logging"
)

const hidden = "correct-horse"

// holder has a secret in each place where a struct can have one.
type holder struct {
	Open    logging.Secret
	Pointer *logging.Secret
	List    []logging.Secret
	Map     map[string]logging.Secret
	Any     any
	closed  logging.Secret
	nested  struct{ closed *logging.Secret }
}

// carriers are a secret and everything that may hold one.
func carriers() map[string]any {
	secret := logging.NewSecret(hidden)
	h := holder{
		Open: secret, Pointer: &secret, List: []logging.Secret{secret}, Any: secret, closed: secret,
		Map: map[string]logging.Secret{"password": secret},
	}
	h.nested.closed = &secret
	return map[string]any{
		"a secret":              secret,
		"a pointer":             &secret,
		"a struct":              h,
		"a pointer to a struct": &h,
		"a map value":           map[string]any{"password": secret},
		"a map key":             map[logging.Secret]int{secret: 1},
		"a list":                []any{secret, &secret},
		"an error":              fmt.Errorf("log in with %v: %w", secret, errors.New("refused")),
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	verbs := []string{"%v", "%+v", "%#v", "%s", "%+s", "%q", "%#q", "%x", "%X", "% x", "%d", "%t", "%c", "%U", "%e", "%p", "%T", "%w", "%50.3v", "%!", "no verb"}
	for name, carrier := range carriers() {
		for _, verb := range verbs {
			mustHide(t, name+" with "+verb, fmt.Sprintf(verb, carrier))
			mustHide(t, name+" in an error with "+verb, fmt.Errorf("broken: "+verb, carrier).Error())
		}
		mustHide(t, name+" with Sprint", fmt.Sprint(carrier))
		encoded, err := json.Marshal(carrier)
		if err != nil {
			t.Errorf("json.Marshal of %s: %v", name, err)
		}
		mustHide(t, name+" as JSON", string(encoded))
	}
}

func TestSecretDoesNotReachALog(t *testing.T) {
	t.Parallel()
	for name, carrier := range carriers() {
		var out strings.Builder
		handlers := []slog.Handler{
			slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil), logging.New(&out, "").Handler(),
		}
		for _, handler := range handlers {
			out.Reset()
			slog.New(handler).With("with", carrier).WithGroup("group").Info("message", "attribute", carrier)
			mustHide(t, fmt.Sprintf("%s in %T", name, handler), out.String())
			if !strings.Contains(out.String(), "group") {
				t.Errorf("%s in %T: nothing was logged: %q", name, handler, out.String())
			}
		}
	}
}

func TestSecretSaysThatItIsRedacted(t *testing.T) {
	t.Parallel()
	secret := logging.NewSecret(hidden)
	if got, want := fmt.Sprintf("%v %s %q %d", secret, secret, secret, secret), "[redacted] [redacted] [redacted] [redacted]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	encoded, err := json.Marshal(struct{ Password logging.Secret }{secret})
	if got, want := string(encoded), `{"Password":"[redacted]"}`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestSecretIsRevealedOnlyByName(t *testing.T) {
	t.Parallel()
	if got := logging.NewSecret(hidden).Reveal(); got != hidden {
		t.Errorf("Reveal() = %q, want %q", got, hidden)
	}
	var zero logging.Secret
	if zero.Reveal() != "" || !zero.Empty() || !logging.NewSecret("").Empty() {
		t.Error("the zero secret and the secret of nothing are not both empty")
	}
	if logging.NewSecret(hidden).Empty() {
		t.Error("a secret with a value says that it is empty")
	}
}

// mustHide fails if text holds the secret as it is, or as one of the codes that verbs print.
func mustHide(t *testing.T, name, text string) {
	t.Helper()
	bytes := fmt.Sprintf("%d", []byte(hidden))
	codes := []string{hidden, "horse", fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprintf("% x", hidden), strings.Trim(bytes, "[]")}
	for _, code := range codes {
		if strings.Contains(text, code) {
			t.Errorf("%s prints the secret: %s", name, text)
			return
		}
	}
}
