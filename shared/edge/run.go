package edge

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// margin is kept under the function's deadline, so that the answer still gets out (design, "Numbers and names").
const margin = time.Second

// ConfigPath is where the configuration lies: DBSTS_CONFIG, by default dbsts.yaml beside the binary.
func ConfigPath() string {
	if path := os.Getenv("DBSTS_CONFIG"); path != "" {
		return path
	}
	binary, err := os.Executable()
	if err != nil {
		return "dbsts.yaml"
	}
	return filepath.Join(filepath.Dir(binary), "dbsts.yaml")
}

// Exit ends a process that cannot start: the configuration is wrong, and only a deployment mends it. A network failure
// is no reason to; the platform would start, and bill, the process again and again.
func Exit(log *slog.Logger, err error) {
	log.Error("cannot start", "error", err.Error())
	os.Exit(1)
}

// Run does one piece of scheduled or manual work until a second before the deadline and writes one line. An error is
// returned too, so that the platform counts the invocation as failed; a panic is such an error.
func Run[T any](ctx context.Context, log *slog.Logger, name string, work func(context.Context) (T, error)) (T, error) {
	ctx, cancel := untilMargin(ctx)
	defer cancel()
	begun := time.Now()
	result, err := guarded(ctx, work)
	level, outcome, text := slog.LevelInfo, outcomeSuccess, ""
	if err != nil {
		level, outcome, text = slog.LevelError, outcomeFailed, err.Error()
	}
	log.LogAttrs(ctx, level, name,
		slog.String("outcome", outcome),
		slog.Any("result", result),
		slog.Int64("duration_ms", time.Since(begun).Milliseconds()),
		slog.String("error", text),
	)
	return result, err
}

func guarded[T any](ctx context.Context, work func(context.Context) (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = caught(value)
		}
	}()
	return work(ctx)
}

func untilMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-margin))
}

// caught describes a panic by its type and place. Its value may quote a token or a password and is dropped. To be called
// by the deferred function that recovered.
func caught(value any) error {
	callers := make([]uintptr, 32) // deep enough to get past the runtime's own frames
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	panicked := false
	for {
		frame, more := frames.Next()
		if panicked && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Errorf("panic %T in %s, line %d", value, frame.Function, frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return fmt.Errorf("panic %T", value)
		}
	}
}
