//go:build cgo

package examples

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs use GORM's own SQLite driver, which needs cgo.

func TestQuickstartOnSQLite(t *testing.T) {
	dir := t.TempDir()
	program := build(t, "./examples/quickstart")
	for range 2 {
		require.Equal(t, 5, strings.Count(run(t, dir, program), "executing manual__"))
	}
}

// The runner goes on until it is interrupted, and ends in an orderly way.
func TestRunnerOnSQLite(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), build(t, "./examples/runner"))
	cmd.Dir = t.TempDir()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range 5 {
		require.True(t, lines.Scan(), "it executes five runs")
		require.Contains(t, lines.Text(), "executing manual__")
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.False(t, lines.Scan(), "each once")
	require.NoError(t, cmd.Wait())
}

func TestTasksOnSQLite(t *testing.T) {
	out := run(t, t.TempDir(), build(t, "./examples/tasks"))
	taken := regexp.MustCompile(`has task (\d+)`).FindAllString(out, -1)
	require.Len(t, taken, 25)
	slices.Sort(taken)
	require.Len(t, slices.Compact(taken), 25, "each task once")
}
