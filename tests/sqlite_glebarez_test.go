package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
)

// TestSQLiteGlebarez: schedulers that go through github.com/glebarez/sqlite, in programs of
// their own, since that driver cannot be in one with modernc's.
func TestSQLiteGlebarez(t *testing.T) {
	program := filepath.Join(t.TempDir(), "glebarez")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = "glebarez"
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	for _, u := range usages {
		if !u.triedOn("SQLite (glebarez)") {
			continue
		}
		t.Run(u.name, func(t *testing.T) {
			w := newWorld(t, testdb.SQLite(t, "sqlite"))
			w.d.Engine = "SQLite (glebarez)"
			limits := coreContest(w)
			pool, err := w.db.DB()
			require.NoError(t, err)
			mode, told := strings.CutPrefix(u.glebarez[0], "-journal=")
			require.True(t, told)
			// They set it as well. But who changes it does not wait, so one that found others at it would not start.
			require.NoError(t, w.db.Exec("PRAGMA journal_mode = "+mode).Error)
			pool.SetMaxIdleConns(0)
			tally := exercise.NewTally()
			var all []*process
			for range 4 {
				cmd := exec.CommandContext(w.ctx, program, append(u.glebarez, "-file="+strings.TrimPrefix(w.d.DSN, "sqlite:"))...)
				cmd.Env = os.Environ()
				all = append(all, w.launch(cmd, tally))
			}
			for _, p := range all {
				require.NoError(t, p.wait())
			}
			contest{}.check(w, tally, limits)
			w.inTable(u.name, limitHeld)
		})
	}
}
