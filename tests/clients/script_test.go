package clients_test

import (
	"os"
	"os/exec"
	"testing"
)

func TestScriptsCanAsk(t *testing.T) {
	t.Run("curl", curlAsks)
	if long() {
		t.Run("openid-client", openIDClientAsks)
		t.Run("oauth4webapi", oauth4WebAPIAsks)
	}
}

func curlAsks(t *testing.T) {
	script := "set -eu\n" + documented(t, "sh", "curl") + `printf %s "$login"`
	command := exec.CommandContext(t.Context(), "sh", "-c", script) //nolint:gosec // the script is from docs/clients.md
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "DBSTS_URL=" + run.stack.url, "DBSTS_CA=" + run.caFile, "id_token=" + idToken(t)}
	command.Stderr = t.Output()
	answer, err := command.Output()
	must(t, err)
	l := parse(t, answer)
	if l.TokenType != "N_A" || l.ExpiresIn < 1 {
		t.Errorf("got a %s for %v s", l.TokenType, l.ExpiresIn)
	}
	mustLogIn(t, l.Username, l.AccessToken)
}
