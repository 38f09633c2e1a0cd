package main

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dbsts/localstack/template"
)

func TestASecondStackIsTurnedAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".local")
	if err := hold(dir); err != nil {
		t.Fatal(err)
	}
	if err := hold(dir); !errors.Is(err, errUp) || err.Error() != "already up (pid "+strconv.Itoa(os.Getpid())+")" {
		t.Errorf("got %v", err)
	}
	if err := hold(dir + "/demo"); err != nil {
		t.Errorf("the demo is disturbed: %v", err)
	}
}

func TestAMistakeIsAnsweredWithTheUsage(t *testing.T) {
	t.Chdir("..")
	for _, args := range [][]string{{""}, {"down"}, {"invoke"}, {"invoke", "NoFunction"}, {"up", "now"}} {
		if err := run(t.Context(), args[0], args[1:]); err == nil || !strings.Contains(err.Error(), usage) {
			t.Errorf("%q: got %v", args, err)
		}
	}
	for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}, {"up", "-h"}, {"invoke", "-h"}, {"invoke", "SweepFunction", "-h"}} {
		if err := run(t.Context(), args[0], args[1:]); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: got %v", args, err)
		}
	}
	functions, err := template.Load("template.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range append(slices.Collect(maps.Keys(functions)), "up", "demo", "invoke") {
		if !strings.Contains(usage, word) {
			t.Errorf("the usage does not name %s", word)
		}
	}
}

func TestInvokeSaysWhatIsMissing(t *testing.T) {
	raw, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err = os.WriteFile("template.yaml", raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{"": "run make local", "dbsts.yaml": "run make build first"} {
		t.Setenv("DBSTS_CONFIG", config)
		if err := run(t.Context(), "invoke", []string{"SweepFunction"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("DBSTS_CONFIG %q: got %v", config, err)
		}
	}
}

func TestNamesThatAreNoSettingsStay(t *testing.T) {
	s := stack{dir: t.TempDir(), env: map[string]string{"DBSTS_URL": "https://localhost:1"}}
	if err := os.WriteFile(s.dir+"/env", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.configure([]byte("# $NAMES\nurl: $DBSTS_URL"), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(s.dir + "/config.yaml"); err != nil || string(got) != "# $NAMES\nurl: https://localhost:1" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(s.dir + "/env"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("scripts still find the last stack: %v", err)
	}
}
