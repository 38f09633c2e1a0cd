// Package runtime runs a built Lambda binary under the Runtime API, as AWS does, without AWS.
//
// One environment is one process that handles one event at a time; more are started while all are busy, and idle ones are
// used again. It trusts the binary. It does not limit memory or CPU, isolate files, retry, end idle environments or send SIGTERM.
package runtime

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const initLimit = 10 * time.Second // Lambda's cap on the init phase

// Sentinels: what became of an event that the function did not answer.
var (
	ErrTimeout   = errors.New("function timed out")
	ErrThrottled = errors.New("all environments are busy")
	ErrExited    = errors.New("function process ended")
)

// Function is one function with its environments. Safe for concurrent use. No process starts before the first event.
type Function struct {
	Name    string            // also the prefix of its log lines
	Binary  string            // absolute path of the bootstrap
	Env     map[string]string // all it gets beside AWS's own variables; nothing is inherited
	Timeout time.Duration     // of one event; the process is killed at its end
	Memory  int               // MiB; told to the function, not enforced
	Limit   int               // most environments at once; 0 or less: 10
	Log     io.Writer         // output of all processes; safe for concurrent use

	mu        sync.Mutex
	all, idle []*environment // the one used last is used next
}

// Invoke hands one event (JSON) to an environment and returns its answer. Errors: ErrTimeout, ErrExited (also when ctx
// ends: that kills the environment), ErrThrottled; any other is what the function itself reported.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	e, err := f.take(ctx)
	var answer []byte
	if err == nil {
		answer, err = e.invoke(ctx, event)
		f.mu.Lock()
		f.idle = append(f.idle, e)
		f.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return answer, nil
}

// take finds an idle environment or starts one.
func (f *Function) take(ctx context.Context) (*environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, (*environment).dead)
	f.idle = slices.DeleteFunc(f.idle, (*environment).dead)
	if last := len(f.idle) - 1; last >= 0 {
		e := f.idle[last]
		f.idle = f.idle[:last]
		return e, nil
	}
	if ctx.Err() != nil || len(f.all) >= cmp.Or(max(f.Limit, 0), 10) {
		return nil, ErrThrottled
	}
	e, err := f.start(ctx)
	if err == nil {
		f.all = append(f.all, e)
	}
	return e, err
}

// Freeze stops the processes where they are, as Lambda does between events.
func (f *Function) Freeze() { f.each(func(e *environment) { e.signal(syscall.SIGSTOP) }) }

// Thaw lets them go on. An event thaws its environment by itself.
func (f *Function) Thaw() { f.each(func(e *environment) { e.signal(syscall.SIGCONT) }) }

// Close kills all processes and waits until they are gone.
func (f *Function) Close() { f.each((*environment).kill) }

func (f *Function) each(do func(*environment)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.all {
		do(e)
	}
}

// environment is one process with its own Runtime API on loopback.
type environment struct {
	*Function
	process *exec.Cmd
	alive   context.Context  // ends with the process
	work    chan *invocation // holds one, until the process asks for it
	current atomic.Pointer[invocation]
}

type invocation struct {
	id            string
	event, answer []byte
	err           error
	taken, done   chan struct{}
}

// start begins a process, which outlives ctx.
func (f *Function) start(ctx context.Context) (*environment, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	alive, died := context.WithCancelCause(context.WithoutCancel(ctx))
	process := exec.CommandContext(alive, f.Binary) // #nosec G204 -- running it is the purpose
	process.Dir = filepath.Dir(f.Binary)
	process.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=" + f.Name, "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.Memory), "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_REGION=local",
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023", "LAMBDA_TASK_ROOT=" + process.Dir, "_HANDLER=bootstrap", "TZ=:UTC",
	}
	for name, value := range f.Env {
		process.Env = append(process.Env, name+"="+value)
	}
	// A group of its own keeps a terminal's Ctrl-C away from it; should we die unasked, Linux, alone, kills it as well.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if death := reflect.ValueOf(process.SysProcAttr).Elem().FieldByName("Pdeathsig"); death.IsValid() {
		death.SetInt(int64(syscall.SIGKILL))
	}
	output, input := io.Pipe()
	process.Stdout, process.Stderr = input, input
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			_, _ = fmt.Fprintf(f.Log, "%s %s\n", f.Name, lines.Text()) // a full disk must not stop the function
		}
		_, _ = io.Copy(io.Discard, output) // nor may a line above 64 KiB
	}()
	e := &environment{Function: f, process: process, alive: alive, work: make(chan *invocation, 1)}
	api := &http.Server{Handler: e.handler(), ReadHeaderTimeout: initLimit}
	go func() { _ = api.Serve(listener) }() // ends with Close
	err = process.Start()
	go func() {
		_ = process.Wait() // however it ended, or never began
		died(ErrExited)
		_, _ = api.Close(), input.Close()
	}()
	return e, err
}

// invoke runs one event. Its clock starts when the process takes it: a cold start has a limit of its own.
func (e *environment) invoke(ctx context.Context, event []byte) ([]byte, error) {
	defer context.AfterFunc(ctx, e.kill)()
	e.signal(syscall.SIGCONT)
	work := &invocation{id: rand.Text(), event: event, taken: make(chan struct{}), done: make(chan struct{})}
	e.work <- work
	if err := cmp.Or(e.await(work.taken, initLimit), e.await(work.done, e.Timeout)); err != nil { // in this order
		return nil, err
	}
	return work.answer, work.err
}

// await waits for the process to do something, and kills it when that does not come in time.
func (e *environment) await(done <-chan struct{}, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(e.alive, limit, ErrTimeout)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		e.kill()
	}
	select {
	case <-done: // perhaps at the last moment
		return nil
	default:
		return context.Cause(ctx)
	}
}

func (e *environment) kill() {
	e.signal(syscall.SIGKILL)
	<-e.alive.Done()
}

// signal reaches the whole process group; that it has ended is no error.
func (e *environment) signal(s syscall.Signal) {
	if !e.dead() {
		_ = syscall.Kill(-e.process.Process.Pid, s)
	}
}

func (e *environment) dead() bool { return e.alive.Err() != nil }

// handler is the Runtime API, version 2018-06-01.
func (e *environment) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{outcome}", e.finish)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(http.ResponseWriter, *http.Request) {}) // it ends by itself; its log says why
	return mux
}

// next is the long poll of an idle process.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case work := <-e.work:
		e.current.Store(work)
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", work.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(e.Timeout).UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:local:000000000000:function:"+e.Name)
		w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-"+work.id+";Sampled=0")
		close(work.taken)
		_, _ = w.Write(work.event) // the process ended
	}
}

// finish takes the answer to the current event; any other is refused.
func (e *environment) finish(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	work := e.current.Load()
	if err != nil || work == nil || work.id != r.PathValue("id") || !e.current.CompareAndSwap(work, nil) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if work.answer = body; r.PathValue("outcome") != "response" {
		work.err = errors.New(string(body))
	}
	close(work.done)
	w.WriteHeader(http.StatusAccepted)
}
