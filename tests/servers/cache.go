package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// cache is a folder that everybody may read, with what is made once:
//
//	npm/        packages, unpacked
//	templates/  initialised data folders, to clone
//	run/        one home for each running server with temporary data
//
// Each thing in it is made under a lock, in a temporary folder, and renamed; what has its final name is complete.
type cache struct{ dir string }

func openCache() (cache, error) {
	dir := os.Getenv("DBSTS_CACHE")
	switch {
	case dir != "":
	case os.Getuid() == 0:
		dir = "/var/cache/dbsts" // not in root's home, which the server's user cannot enter; nor in a folder where others could put it first
	default:
		home, err := os.UserCacheDir()
		if err != nil {
			return cache{}, fmt.Errorf("find the cache folder: %w", err)
		}
		dir = filepath.Join(home, "dbsts")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return cache{}, fmt.Errorf("find the cache folder: %w", err)
	}
	for _, folder := range []string{dir, filepath.Join(dir, "npm"), filepath.Join(dir, "templates"), filepath.Join(dir, "run")} {
		if err := makeFolder(folder); err != nil {
			return cache{}, err
		}
	}
	return cache{dir: dir}, nil
}

// makeFolder makes a folder that everybody may read, whatever the umask. One that exists stays as it is.
func makeFolder(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the server's user must get through
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

// once returns the folder with the given name below the cache. Where there is none, make fills a fresh one; processes
// that ask at the same time wait for one of them.
func (c cache) once(ctx context.Context, name string, fill func(folder string) error) (string, error) {
	path := filepath.Join(c.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	lock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return "", err
	}
	defer unlock(lock)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	draft := path + ".draft" // ours alone while we hold the lock; what is there was left by one who died
	if err := os.RemoveAll(draft); err != nil {
		return "", fmt.Errorf("remove an old draft: %w", err)
	}
	if err := makeFolder(draft); err != nil {
		return "", err
	}
	if err := fill(draft); err != nil {
		return "", errors.Join(err, os.RemoveAll(draft))
	}
	if err := os.Rename(draft, path); err != nil {
		return "", fmt.Errorf("put %s in place: %w", name, err)
	}
	return path, nil
}

// newHome makes a folder below run/ and locks it for as long as this process lives. First it removes those whose owner
// is dead; a server that still ran in one of them finds its lock file gone and ends itself within a minute.
func (c cache) newHome(ctx context.Context) (home string, lock *os.File, err error) {
	all, err := lockFile(ctx, filepath.Join(c.dir, "run.lock"))
	if err != nil {
		return "", nil, err
	}
	defer unlock(all)

	homes, err := filepath.Glob(filepath.Join(c.dir, "run", "*"))
	if err != nil {
		return "", nil, fmt.Errorf("list homes: %w", err)
	}
	for _, old := range homes {
		owner, locked := tryLock(filepath.Join(old, "lock"))
		if errors.Is(locked, syscall.EWOULDBLOCK) {
			continue // its owner lives
		}
		if err = os.RemoveAll(old); err != nil {
			return "", nil, fmt.Errorf("remove what a dead process left: %w", err)
		}
		if owner != nil {
			unlock(owner)
		}
	}

	if home, err = os.MkdirTemp(filepath.Join(c.dir, "run"), "postgres-"); err != nil {
		return "", nil, fmt.Errorf("make a home: %w", err)
	}
	if err = os.Chmod(home, 0o755); err != nil { //nolint:gosec // the server's user must get through
		return "", nil, fmt.Errorf("make a home: %w", err)
	}
	lock, err = tryLock(filepath.Join(home, "lock"))
	return home, lock, err
}

// tryLock locks a file, which it makes, and gives up with EWOULDBLOCK if somebody else has it. The kernel
// lets go when the holder dies (flock(2)); children do not inherit it, as Go opens files close-on-exec.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is ours
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return file, nil
}

// lockFile waits until it has the lock, or until ctx ends.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	for {
		file, err := tryLock(path)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return file, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", path, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func unlock(file *os.File) { _ = file.Close() }

// copyTree copies folders and plain files, readable by the account alone, and gives them to it.
func copyTree(from, to string, owner account) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("copy the template: %w", err)
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return fmt.Errorf("copy the template: %w", err)
		}
		target := filepath.Join(to, name)
		if entry.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		if err != nil {
			return fmt.Errorf("copy the template: %w", err)
		}
		return owner.own(target)
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from) //nolint:gosec // the path is ours
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the path is ours
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
