package servers_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"dbsts/tests/servers"
)

// childVariable makes this test binary a program that starts a server, tells where, and waits for its end.
const childVariable = "DBSTS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	server, err := servers.Start(context.Background(), servers.Options{Log: os.Stderr})
	if err == nil {
		_, err = servers.AwaitLogin(context.Background(), server)
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(server.LogFile)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if err := server.Stop(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestTwoStartsAtOnceOnAnEmptyCache(t *testing.T) {
	emptyCache(t)
	var wait sync.WaitGroup
	got, errs := make([]*servers.Server, 2), make([]error, 2)
	for i := range got {
		wait.Go(func() { got[i], errs[i] = servers.Start(t.Context(), servers.Options{}) })
	}
	wait.Wait()
	for _, server := range got {
		if server != nil {
			defer func() { _ = server.Stop() }()
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got[0].Address() == got[1].Address() {
		t.Errorf("both are at %s", got[0].Address())
	}
}

func TestStopLeavesNoProcessAndNoFile(t *testing.T) {
	server := start(t, servers.Options{})
	id := postmaster(t, server.LogFile)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, id, 0)
	if _, err := os.Stat(filepath.Dir(server.LogFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the home is still there: %v", err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if err := server.Restart(t.Context()); err == nil {
		t.Error("Restart after Stop worked")
	}
}

func TestStopEndsAPausedServer(t *testing.T) {
	server := start(t, servers.Options{})
	id := postmaster(t, server.LogFile)
	if err := errors.Join(server.Pause(), server.Stop()); err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, id, 0)
}

func TestServerEndsWithItsKilledOwner(t *testing.T) {
	child := startChild(t, nil)
	id := postmaster(t, child.logFile)
	if err := syscall.Kill(id, syscall.SIGSTOP); err != nil { // the hardest case: it cannot notice by itself
		t.Fatal(err)
	}
	if err := child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.cmd.Wait()
	mustBeGone(t, id, 10*time.Second)
	start(t, servers.Options{})
	if _, err := os.Stat(child.logFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the next start left the dead owner's home: %v", err)
	}
}

func TestServerRunsForAnOrdinaryUser(t *testing.T) {
	emptyCache(t)
	var credential *syscall.Credential // not root: all of these tests run as an ordinary user
	if os.Getuid() == 0 {
		const nobody = 65534 // Linux and Debian's base-passwd
		credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		for _, folder := range []string{"", "templates", "run"} {
			if err := os.Chown(filepath.Join(os.Getenv("DBSTS_CACHE"), folder), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	child := startChild(t, credential)
	id := postmaster(t, child.logFile)
	if _, err := child.stdin.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := child.cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	mustBeGone(t, id, 0)
}

func TestDataFolderIsKept(t *testing.T) {
	options := servers.Options{DataDir: filepath.Join(openFolder(t), "kept"), Durable: true}
	first := start(t, options)
	if _, err := servers.Start(t.Context(), options); err == nil {
		t.Error("two servers in one data folder")
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, options)
	if first.AdminPassword != second.AdminPassword {
		t.Error("the password changed")
	}
	if _, err := servers.AwaitLogin(t.Context(), second); err != nil {
		t.Error(err)
	}
}

func TestUnknownVersionAndSettingAreErrors(t *testing.T) {
	for name, options := range map[string]servers.Options{
		"version":       {Version: "9"},
		"setting":       {Settings: map[string]string{"no_such_setting": "1"}},
		"setting name":  {Settings: map[string]string{"fsync = on\nport": "1"}},
		"setting value": {Settings: map[string]string{"search_path": "x\nfsync = on"}},
		"hba line":      {HBA: []string{"nonsense"}},
	} {
		if server, err := servers.Start(t.Context(), options); err == nil {
			t.Errorf("%s: the server started", name)
			_ = server.Stop()
		}
	}
}

func TestSecondStartClonesAndFetchesNothing(t *testing.T) {
	start(t, servers.Options{})
	var said bytes.Buffer
	server, err := servers.Start(t.Context(), servers.Options{Log: &said})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if said.Len() > 0 {
		t.Errorf("a second start says %q", said.String())
	}
}

// BenchmarkStart shows what a test package pays: about 0.2 s on an idle machine.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		server, err := servers.Start(b.Context(), servers.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := server.Stop(); err != nil {
			b.Fatal(err)
		}
	}
}
