package servers_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dbsts/tests/servers"
)

// emptyCache gives the test a cache without templates. Packages from npm are the real cache's: they are fetched once only.
func emptyCache(t *testing.T) {
	t.Helper()
	server := start(t, servers.Options{})
	real := filepath.Join(filepath.Dir(server.LogFile), "..", "..")
	dir := openFolder(t)
	for _, folder := range []string{"templates", "run"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil { //nolint:gosec // the server's user must get in
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(filepath.Clean(real), "npm"), filepath.Join(dir, "npm")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBSTS_CACHE", dir)
}

// openFolder makes a folder that the server's user can reach; the parents of t.TempDir are closed.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "dbsts-test-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, options servers.Options) *servers.Server {
	t.Helper()
	options.Log = t.Output()
	server, err := servers.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

type child struct {
	cmd     *exec.Cmd
	stdin   *os.File
	logFile string
}

func startChild(t *testing.T, credential *syscall.Credential) child {
	t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(theirs.Close(), ours.Close()) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if credential != nil {
		self = copyProgram(t, self)
	}
	cmd := exec.CommandContext(t.Context(), self) //nolint:gosec // this test binary
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stdin, cmd.Stderr = theirs, t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("the child says %q (%v)", line, err)
	}
	return child{cmd: cmd, stdin: ours, logFile: strings.TrimSpace(line)}
}

// copyProgram puts the test binary where everybody may run it: the folder that go test builds in is closed.
func copyProgram(t *testing.T, from string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(from))
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(os.Getenv("DBSTS_CACHE"), "child")
	if err := os.WriteFile(to, text, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return to
}

func postmaster(t *testing.T, logFile string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(logFile), "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	id, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustBeGone(t *testing.T, id int, within time.Duration) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if errors.Is(syscall.Kill(id, 0), syscall.ESRCH) || zombie(id) {
			return
		}
		if time.Since(begun) > within {
			t.Fatalf("process %d lives", id)
		}
	}
}

// zombie tells whether an orphan has ended but its new parent, in a container without an init, does not ask for its status.
func zombie(id int) bool {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "stat"))
	return strings.Contains(string(text), ") Z ")
}
