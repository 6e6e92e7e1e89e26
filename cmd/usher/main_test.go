package main_test

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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// patience is how long a command may take before a test gives it up.
const patience = time.Minute

// TestMain builds the command, which all tests run, and removes it.
func TestMain(m *testing.M) {
	status, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

func buildAndRun(m *testing.M) (status int, err error) {
	dir, err := os.MkdirTemp("", "usher-cmd-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // another user runs it too
		return 1, err
	}
	if output, err := exec.Command("go", "build", "-o", filepath.Join(dir, "usher"), ".").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build: %w\n%s", err, output)
	}
	if err := os.Setenv("USHER_TEST_COMMAND", filepath.Join(dir, "usher")); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// result is what a command left behind.
type result struct {
	status         int
	stdout, stderr string
}

// command is usher in an empty directory, with the database in the environment.
func command(t *testing.T, ctx context.Context, dsn string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Getenv("USHER_TEST_COMMAND"), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "USHER_DSN=") })
	if dsn != "" {
		cmd.Env = append(cmd.Env, "USHER_DSN="+dsn)
	}
	return cmd
}

// usher runs the command to its end.
func usher(t *testing.T, dsn string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return finish(t, command(t, ctx, dsn, args...))
}

// finish runs a command that has been prepared.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	require.NotEqual(t, -1, r.status, "killed: %s %v", cmd.Args, r)
	return r
}

// done runs a command that must succeed, and returns what it wrote on stdout.
func done(t *testing.T, dsn string, args ...string) string {
	t.Helper()
	r := usher(t, dsn, args...)
	require.Equal(t, 0, r.status, "%v: %s", args, r.stderr)
	return r.stdout
}

// objects runs a command with --json, which must succeed, and reads the objects it printed.
func objects(t *testing.T, dsn string, args ...string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(done(t, dsn, append(args, "--json")...)) {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object), "%v printed %q", args, line)
		found = append(found, object)
	}
	return found
}

// values are the values of one key.
func values(objects []map[string]any, key string) (found []any) {
	for _, o := range objects {
		found = append(found, o[key])
	}
	return found
}

// contents is everything in the database, to see whether something has changed.
func contents(t *testing.T, d testdb.Database) string {
	t.Helper()
	if path, ok := strings.CutPrefix(d.DSN, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return "no file"
		}
	}
	db := d.Open(t)
	tables, err := db.Migrator().GetTables()
	require.NoError(t, err)
	slices.Sort(tables)
	var all strings.Builder
	for _, table := range tables {
		var rows []map[string]any
		require.NoError(t, db.Table(table).Order("1").Find(&rows).Error)
		text, err := json.Marshal(rows)
		require.NoError(t, err)
		fmt.Fprintf(&all, "%s: %s\n", table, text)
	}
	return all.String()
}
