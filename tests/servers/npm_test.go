package servers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTarballOfAnotherIntegrityIsRefused(t *testing.T) {
	dir := t.TempDir()
	fake := "#!/bin/sh\necho forged > package.tgz\n"
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte(fake), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DBSTS_CACHE", filepath.Join(dir, "cache"))
	c, err := openCache()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = npmBinaries(t.Context(), c, "18", io.Discard); err == nil || !strings.Contains(err.Error(), "integrity") {
		t.Errorf("want an integrity error, got %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "cache", "npm", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("something stays in the cache: %v (%v)", left, err)
	}
}

func TestArchiveStaysInItsFolder(t *testing.T) {
	for _, name := range []string{"package/../../escaped", "/tmp/dbsts-escaped"} {
		var tarball bytes.Buffer
		zipped := gzip.NewWriter(&tarball)
		archive := tar.NewWriter(zipped)
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		if err := zipped.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unpack(tarball.Bytes(), t.TempDir()); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}
