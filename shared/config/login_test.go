package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbsts/shared/config"
)

func TestPasswordIsTheFirstLineOfItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	login := config.Login{User: "dbsts_sweep", PasswordFile: path}
	for content, want := range map[string]string{
		"correct horse":          "correct horse",
		"correct horse\n":        "correct horse",
		"correct horse\r\n":      "correct horse",
		" spaces count \nsecond": " spaces count ",
	} {
		write(t, path, content)
		if got, err := login.Password(); err != nil || got.Reveal() != want {
			t.Errorf("%q gives %q, %v; want %q", content, got.Reveal(), err, want)
		}
	}
}

func TestPasswordIsReadAtEachCall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	login := config.Login{User: "dbsts_sweep", PasswordFile: path}
	for _, want := range []string{"first", "second"} {
		write(t, path, want)
		if got, err := login.Password(); err != nil || got.Reveal() != want {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
}

func TestPasswordFromTheEnvironment(t *testing.T) {
	const variable = "DBSTS_TEST_PASSWORD"
	login := config.Login{User: "dbsts_sweep", PasswordEnv: variable}
	t.Setenv(variable, "correct horse")
	if got, err := login.Password(); err != nil || got.Reveal() != "correct horse" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	t.Setenv(variable, "")
	_, err := login.Password()
	mustName(t, err, `password of login "dbsts_sweep"`, variable)
}

func TestPasswordErrorsNameTheSourceAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	login := config.Login{User: "dbsts_sweep", PasswordFile: path}
	_, err := login.Password()
	mustName(t, err, `password of login "dbsts_sweep"`, path, "no such file")
	for _, content := range []string{"", "\n", "\r\n", "\nhunter2", strings.Repeat("hunter2", 1000)} {
		write(t, path, content)
		_, err = login.Password()
		mustName(t, err, path)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats what is in the file: %v", err)
		}
	}
	_, err = config.Login{User: "dbsts_sweep"}.Password()
	mustName(t, err, "no source")
}

func mustName(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
