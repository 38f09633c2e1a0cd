package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var bootstrap string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "runtime")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		bootstrap = filepath.Join(dir, "bootstrap")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", bootstrap, "./testdata/bootstrap") // #nosec G204 -- a folder of our own
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
		return m.Run()
	}())
}

func TestAnIdleEnvironmentIsUsedAgain(t *testing.T) {
	f := function(t)
	first, second := must(t, f, `{}`), must(t, f, `{}`)
	if first.PID != second.PID {
		t.Errorf("got processes %d and %d, want one", first.PID, second.PID)
	}
	if first.Request == second.Request {
		t.Errorf("both events had the request id %s", first.Request)
	}
}

func TestBusyEnvironmentsAreJoinedByMoreUpToTheLimit(t *testing.T) {
	f := function(t)
	f.Limit = 2
	var group sync.WaitGroup
	pids := make(chan int, 2)
	for range 2 {
		group.Go(func() { pids <- must(t, f, `{"wait": 500000000}`).PID })
	}
	for f.busy() < 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, ErrThrottled) {
		t.Errorf("a third event at once: got %v, want %v", err, ErrThrottled)
	}
	group.Wait()
	if a, b := <-pids, <-pids; a == b {
		t.Errorf("process %d handled two events at once", a)
	}
	must(t, f, `{}`)
}

func TestAFunctionThatHangsIsKilledAtItsTimeOut(t *testing.T) {
	f := function(t)
	f.Timeout = 300 * time.Millisecond
	before := must(t, f, `{}`).PID
	if _, err := f.Invoke(t.Context(), []byte(`{"do": "hang"}`)); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want %v", err, ErrTimeout)
	}
	mustBeGone(t, before)
	if after := must(t, f, `{}`).PID; after == before {
		t.Errorf("process %d handled another event", after)
	}
}

func TestACrashFailsItsEventAndTheNextOneStartsAnew(t *testing.T) {
	f := function(t)
	before := must(t, f, `{}`).PID
	if _, err := f.Invoke(t.Context(), []byte(`{"do": "crash"}`)); !errors.Is(err, ErrExited) {
		t.Errorf("got %v, want %v", err, ErrExited)
	}
	if after := must(t, f, `{}`).PID; after == before {
		t.Errorf("process %d came back", after)
	}
}

func TestAFunctionThatCannotStartFailsItsEvent(t *testing.T) {
	f := function(t)
	f.Env = map[string]string{"BROKEN": "yes"}
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, ErrExited) {
		t.Errorf("got %v, want %v", err, ErrExited)
	}
	f.Binary = filepath.Join(t.TempDir(), "bootstrap")
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a binary: got %v", err)
	}
}

func TestAFunctionsOwnErrorIsHandedOnAndItsProcessLives(t *testing.T) {
	f := function(t)
	before := must(t, f, `{}`).PID
	_, err := f.Invoke(t.Context(), []byte(`{"do": "fail"}`))
	if err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v", err)
	}
	if after := must(t, f, `{}`).PID; after != before {
		t.Error("the process was not used again")
	}
}

func TestAFunctionGetsItsOwnEnvironmentAndNoneOfOurs(t *testing.T) {
	t.Setenv("OUR_SECRET", "x")
	f := function(t)
	f.Env = map[string]string{"DBSTS_CONFIG": "/a/b.yaml"}
	got := must(t, f, `{}`)
	for _, want := range []string{"DBSTS_CONFIG=/a/b.yaml", "AWS_LAMBDA_FUNCTION_NAME=Fake", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128"} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("%s is missing from %v", want, got.Env)
		}
	}
	if slices.ContainsFunc(got.Env, func(v string) bool { return strings.HasPrefix(v, "OUR_SECRET") }) {
		t.Error("our environment was inherited")
	}
}

func TestAFunctionKnowsItsDeadlineAndItsName(t *testing.T) {
	f := function(t)
	f.Timeout = 5 * time.Second
	got := must(t, f, `{}`)
	if got.Left <= 3*time.Second || got.Left > 5*time.Second {
		t.Errorf("got %v left of 5 s", got.Left)
	}
	if !strings.HasSuffix(got.ARN, ":function:Fake") {
		t.Errorf("got ARN %s", got.ARN)
	}
}

func TestAFrozenProcessStandsStillAndThawsForItsNextEvent(t *testing.T) {
	f := function(t)
	before := must(t, f, `{}`).Beats
	f.Freeze()
	time.Sleep(400 * time.Millisecond) // 80 beats, were it not frozen
	if beats := must(t, f, `{}`).Beats - before; beats > 20 {
		t.Errorf("its clock went on for %d beats", beats)
	}
}

func TestLogLinesCarryTheFunctionsName(t *testing.T) {
	f := function(t)
	_, _ = f.Invoke(t.Context(), []byte(`{"do": "crash"}`))
	log := f.Log.(*buffer)
	for range 100 {
		if strings.Contains(log.String(), "last words") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got, want := log.String(), "Fake first line\nFake last words\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheEndOfTheContextEndsTheEvent(t *testing.T) {
	f := function(t)
	pid := must(t, f, `{}`).PID
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := f.Invoke(ctx, []byte(`{"do": "hang"}`)); !errors.Is(err, ErrExited) {
		t.Errorf("got %v, want %v", err, ErrExited)
	}
	mustBeGone(t, pid)
}

func TestCloseLeavesNoProcess(t *testing.T) {
	f := function(t)
	pid := must(t, f, `{}`).PID
	f.Freeze() // a stopped process must go as well
	f.Close()
	mustBeGone(t, pid)
}

type report struct {
	PID   int
	Beats int64
	Env   []string
	Left  time.Duration
	ARN   string

	Request string
}

func function(t *testing.T) *Function {
	t.Helper()
	f := &Function{Name: "Fake", Binary: bootstrap, Timeout: 10 * time.Second, Memory: 128, Log: &buffer{}}
	t.Cleanup(f.Close)
	return f
}

func must(t *testing.T, f *Function, event string) report {
	t.Helper()
	answer, err := f.Invoke(t.Context(), []byte(event))
	got := report{}
	if err = errors.Join(err, json.Unmarshal(answer, &got)); err != nil {
		t.Errorf("event %s: %v", event, err)
	}
	return got
}

func mustBeGone(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

// busy counts environments that have taken an event.
func (f *Function) busy() (n int) {
	f.each(func(e *environment) {
		if e.current.Load() != nil {
			n++
		}
	})
	return n
}

// buffer is a bytes.Buffer for several writers.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
