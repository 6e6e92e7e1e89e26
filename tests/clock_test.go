//go:build prove

package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// hourAhead builds the program of these tests with a clock that is an hour ahead: every
// reading of it, whoever takes it, since it is changed in Go's own package time.
func hourAhead(t testing.TB) string {
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	clock := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(clock)
	require.NoError(t, err)
	const reading = "func Now() Time {"
	require.Contains(t, string(text), reading)
	changed := strings.Replace(string(text), reading, "func Now() Time { return punctual().Add(Hour) }\n\nfunc punctual() Time {", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "time.go"), []byte(changed), 0o600))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{clock: filepath.Join(dir, "time.go")}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	build := exec.Command("go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", filepath.Join(dir, "ahead"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "ahead")
}

// early are kills after which a scheduler takes the place whose clock is an hour ahead.
func early(c *crew) []fault {
	if c.d.Driver == "sqlite3" { // the program is built without cgo
		return nil
	}
	job := c.job
	job.program, job.Parent = hourAhead(c), time.Now()
	kill := fault{"scheduler killed, the next one an hour ahead", func(c *crew) { c.replace(c.anyone(), job) }}
	return []fault{kill, kill}
}

// TestClock: schedulers go by the database's clock. One whose own is an hour ahead starts
// nothing before it is due, and writes no time but the database's. The build tag is for the
// minutes that it takes to compile everything anew.
func TestClock(t *testing.T) {
	program := hourAhead(t)
	for _, open := range []func(testing.TB) testdb.Database{testdb.PostgreSQL, testdb.MySQL, testdb.MariaDB, sqliteModernc} {
		d := open(t)
		t.Run(d.Engine, func(t *testing.T) { clockAhead(newWorld(t, d), program) })
	}
}

func sqliteModernc(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite") }

func clockAhead(w *world, program string) {
	now := w.databaseTime()
	require.WithinDuration(w, time.Now(), now, 10*time.Minute, "the servers of the tests run on this machine's clock")
	w.dag("d", 10)
	w.queue("d", 3, now.Add(-30*time.Minute), time.Minute)
	w.queue("d", 3, now.Add(30*time.Minute), time.Minute)
	tally := exercise.NewTally()
	p := w.spawn(work{Runner: true, program: program, Parent: time.Now()}, tally)
	for w.count(dagGate("d"), models.Success) < 3 {
		require.NoError(w, w.ctx.Err())
	}
	w.whileOthersWork()
	require.NoError(w, p.cmd.Process.Signal(os.Interrupt))
	require.NoError(w, p.wait())
	require.Equal(w, 3, w.count(dagGate("d"), models.Queued), "what is not due")
	var runs []models.DagRun
	require.NoError(w, w.db.Where("state = ?", models.Success).Find(&runs).Error)
	for _, run := range runs {
		require.WithinDuration(w, now, run.StartDate.Time, 10*time.Minute)
		require.WithinDuration(w, now, run.EndDate.Time, 10*time.Minute)
		require.WithinDuration(w, now, run.UpdatedAt.Time, 10*time.Minute)
	}
}

// databaseTime is the database's clock.
func (w *world) databaseTime() time.Time {
	server, err := locking.Server(w.ctx, w.db)
	require.NoError(w, err)
	var now models.Time
	require.NoError(w, w.db.Raw("SELECT "+server.Now()).Row().Scan(&now))
	return now.Time
}
