//go:build cgo

package examples

import (
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

func TestTasksOnSQLite(t *testing.T) {
	out := run(t, t.TempDir(), build(t, "./examples/tasks"))
	taken := regexp.MustCompile(`has task (\d+)`).FindAllString(out, -1)
	require.Len(t, taken, 25)
	slices.Sort(taken)
	require.Len(t, slices.Compact(taken), 25, "each task once")
}
