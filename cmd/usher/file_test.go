//go:build unix

package main_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// missingFile is a database that is a file, and is not there.
func missingFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "usher.db")
	for _, args := range append(commands, []string{"doctor"}) {
		refused(t, usher(t, "sqlite:"+path, args...), 1, "no database at "+path, "usher migrate")
	}
	for _, args := range everything() {
		refused(t, usher(t, "sqlite:"+filepath.Join(dir, "none", "usher.db"), args...), 1, "does not exist: make it")
		refused(t, usher(t, "sqlite:"+dir, args...), 1, "is a directory: name a file")
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "no file was made")

	require.NoError(t, os.WriteFile(path, []byte("To whom it may concern.\n"), 0o600))
	for _, args := range everything() {
		refused(t, usher(t, "sqlite:"+path, args...), 1, "another kind: name another path")
	}
	letter, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "To whom it may concern.\n", string(letter))

	cmd := command(t, t.Context(), "", "status")
	refused(t, finish(t, cmd), 1, "no database at usher.db")
	cmd = command(t, t.Context(), "", "migrate")
	require.Equal(t, 0, finish(t, cmd).status)
	require.FileExists(t, filepath.Join(cmd.Dir, "usher.db"), "the default")
}

// lockedFile is a database that is a file, and may be read but not written.
func lockedFile(t *testing.T) {
	dir, err := os.MkdirTemp("", "usher-locked-") // one that another user can reach
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, os.Chmod(dir, 0o700))
		require.NoError(t, os.RemoveAll(dir))
	})
	path := filepath.Join(dir, "usher.db")
	d := testdb.Database{Engine: "SQLite (modernc)", DSN: "sqlite:" + path, Driver: "sqlite"}
	prepare(t, d)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o444))
	require.NoError(t, os.Chmod(dir, 0o555))
	for _, args := range everything() {
		r := nobody(t, d.DSN, args...)
		refused(t, r, 1, "check that you may read and write the file and its directory")
	}
	refused(t, nobody(t, "sqlite:"+filepath.Join(dir, "new.db"), "migrate"), 1, "read and write the file and its directory")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, string(before) == string(after), "the file was written")
}

// nobody runs the command as a user who owns nothing: permissions do not stop root.
func nobody(t *testing.T, dsn string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(t, ctx, dsn, args...)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return finish(t, cmd)
}
