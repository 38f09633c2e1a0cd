package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What the postmaster does on which signal: the manual, section "Shutting Down the Server".
const (
	fast      = syscall.SIGINT
	immediate = syscall.SIGQUIT
)

const (
	startTimeout = 60 * time.Second // crash recovery included; a clone starts in a tenth of a second
	fastTimeout  = 15 * time.Second // then immediate; it gives its children 5 s before it kills them
	killTimeout  = 10 * time.Second
)

var errPortTaken = errors.New("the port is taken")

// supervised becomes the server, and leaves behind a watcher that ends it when the pipe on descriptor 3 closes without a
// word: that is, when we are dead, however we died. (Linux's parent-death signal hangs on the thread that forked, does
// nothing to a stopped server, and macOS has none.) $$ is the server's id, in the subshell too. The watcher ignores HUP,
// which the kernel sends to a process group with a stopped member when its last parent outside dies.
const supervised = `
( { trap '' HUP INT TERM; read -r _ <&3 || { kill -CONT $$; kill -QUIT $$; }; } >/dev/null 2>&1 & )
exec "$@" 3<&-`

// process is a running postmaster.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it is gone
	frozen bool
}

// launch starts the server and returns when it accepts logins.
func (n *native) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	logPath := filepath.Join(n.home, logFile)
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the path is ours
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	start, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	watched, alive, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	defer func() { _ = watched.Close() }()

	data := filepath.Join(n.home, dataFolder)
	cmd := n.account.command(context.WithoutCancel(ctx), n.home,
		"/bin/sh", "-c", supervised, "sh", filepath.Join(n.binaries.dir, "postgres"), "-D", data)
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for us; we end the server
	cmd.ExtraFiles = []*os.File{watched}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start postgres: %w", err), alive.Close())
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		_, _ = alive.WriteString("\n")
		_ = alive.Close()
		close(p.exited)
	}()
	n.process = p
	if err := p.awaitReady(ctx, data); err != nil {
		said := tail(logPath, start)
		if strings.Contains(said, "could not create any TCP/IP sockets") {
			err = errPortTaken
		}
		return errors.Join(fmt.Errorf("%w; its log: %s", err, said), n.end(immediate))
	}
	return nil
}

// awaitReady waits for the line "ready" in postmaster.pid, as pg_ctl does: that leaves no trace in the log.
func (p *process) awaitReady(ctx context.Context, data string) error {
	const idLine, statusLine = 0, 7 // PostgreSQL's src/include/utils/pidfile.h
	id := strconv.Itoa(p.cmd.Process.Pid)
	for {
		text, _ := os.ReadFile(filepath.Join(data, "postmaster.pid")) //nolint:gosec // the path is ours. No file yet: not ready
		lines := strings.Split(string(text), "\n")
		if len(lines) > statusLine && lines[idLine] == id && strings.TrimSpace(lines[statusLine]) == "ready" {
			return nil
		}
		select {
		case <-p.exited:
			return errors.New("postgres ended at once")
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// awaitOrphan gives the server of an owner who was killed a moment ago the time that its watcher needs to end it.
// An id that belongs to somebody else by now only costs that time: postgres itself decides whether the data is free.
func awaitOrphan(data string) {
	const patience = 5 * time.Second
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(data, "postmaster.pid")) //nolint:gosec // the path is ours
		first, _, _ := strings.Cut(string(text), "\n")
		id, err := strconv.Atoi(first)
		if err != nil || errors.Is(syscall.Kill(id, 0), syscall.ESRCH) {
			return
		}
	}
}

// tail returns what the log got since the offset, at most its last 4 KiB.
func tail(path string, offset int64) string {
	text, err := os.ReadFile(path) //nolint:gosec // the path is ours
	if err != nil {
		return err.Error()
	}
	text = text[min(int(offset), len(text)):]
	return string(bytes.TrimSpace(text[max(0, len(text)-4096):]))
}

// end ends the server, if it runs, with the given signal, then with stronger ones.
func (n *native) end(signal syscall.Signal) error {
	if n.process == nil {
		return nil
	}
	if err := n.thaw(); err != nil {
		return err
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{signal, fastTimeout}, {immediate, killTimeout}, {syscall.SIGKILL, killTimeout}} {
		if err := n.process.cmd.Process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop postgres: %w", err)
		}
		select {
		case <-n.process.exited:
			n.process = nil
			return nil
		case <-time.After(step.wait):
		}
	}
	return fmt.Errorf("postgres, process %d, does not end", n.process.cmd.Process.Pid)
}

// freeze stops the postmaster first, so that it makes no more sessions, then its children.
func (n *native) freeze() error {
	if n.process == nil {
		return errors.New("pause: the server does not run")
	}
	n.process.frozen = true
	return n.process.signalAll(syscall.SIGSTOP)
}

func (n *native) thaw() error {
	if n.process == nil || !n.process.frozen {
		return nil
	}
	n.process.frozen = false
	return n.process.signalAll(syscall.SIGCONT)
}

func (p *process) signalAll(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgres: %w", err)
	}
	ids, err := children(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := syscall.Kill(id, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal postgres: %w", err)
		}
	}
	return nil
}

// children lists a process's children: from /proc, else (macOS) from ps.
func children(parent int) ([]int, error) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the only error is a bad pattern
	var table strings.Builder
	for _, path := range stats {
		text, _ := os.ReadFile(path) //nolint:gosec // from /proc; empty if the process has just ended
		id, rest, _ := strings.Cut(string(text), " ")
		if f := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]); len(f) > 1 { // proc(5): state, ppid follow the name
			_, _ = fmt.Fprintln(&table, id, f[1])
		}
	}
	if len(stats) == 0 {
		out, err := exec.CommandContext(context.Background(), "ps", "-A", "-o", "pid=,ppid=").Output()
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		table.Write(out)
	}
	var ids []int
	for line := range strings.Lines(table.String()) {
		var id, its int
		if _, err := fmt.Sscan(line, &id, &its); err == nil && its == parent {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
