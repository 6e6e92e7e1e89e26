package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
	"github.com/usher-go/usher/transfer"
)

// aFile is the DSN of a file that is not there yet.
func aFile(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "copy.db") }

// copies copies to a file and back, and refuses what would lose something.
func copies(t *testing.T, d testdb.Database) {
	prepare(t, d)
	file := aFile(t)
	before := objects(t, d.DSN, "run", "list")
	first := usher(t, d.DSN, "copy", "--to", file, "--ahead")
	require.Equal(t, 0, first.status, first.stderr)
	require.Contains(t, first.stderr, "without --ahead")
	refused(t, usher(t, file, "copy", "--to", d.DSN), 4, "unfinished copy", "begin with that one")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "later")

	last := objects(t, "", "copy", "--from", d.DSN, "--to", file)
	require.Equal(t, []map[string]any{
		{"table": "dag", "rows": 1.0, "copied": 0.0, "removed": 0.0},
		{"table": "dag_run", "rows": 3.0, "copied": 1.0, "removed": 0.0},
		{"table": "backfill", "rows": 0.0, "copied": 0.0, "removed": 0.0},
		{"table": "backfill_dag_run", "rows": 0.0, "copied": 0.0, "removed": 0.0},
		{"table": "job", "rows": 0.0, "copied": 0.0, "removed": 0.0},
	}, last)
	after := objects(t, file, "run", "list")
	require.Len(t, after, 3)
	require.Subset(t, after, before)

	require.NoError(t, d.Open(t).Exec("ALTER TABLE dag_run ADD tenant integer").Error)
	left := usher(t, d.DSN, "copy", "--to", file)
	require.Equal(t, 0, left.status, left.stderr)
	require.Contains(t, left.stderr, "not copied, since they are not usher's: the columns tenant of dag_run\n")
	require.Equal(t, []any{"tenant"}, objects(t, d.DSN, "copy", "--to", file)[1]["left"])

	back := usher(t, file, "copy", "--to", d.DSN)
	require.Equal(t, 0, back.status, "they are equal: %s", back.stderr)
	require.NotContains(t, back.stderr, "not copied")
	require.Regexp(t, `dag_run +3 +0 +0`, back.stdout)
	require.Contains(t, back.stderr, "is equal to")
	done(t, file, "dag", "set", "etl", "--max-active-runs", "7")
	whole := contents(t, d)
	refused(t, usher(t, file, "copy", "--to", d.DSN), 4, "nothing of it was changed", "column max_active_runs is 7 in the source and 1 in the target")
	require.Equal(t, whole, contents(t, d))

	r, err := repo.New(d.Open(t))
	require.NoError(t, err)
	_, err = r.Register(t.Context())
	require.NoError(t, err)
	refused(t, usher(t, d.DSN, "copy", "--to", aFile(t)), 4, "schedulers are alive", "--ahead")
}

// copyRefusals are wrong command lines, and databases that are not in order.
func copyRefusals(t *testing.T, d testdb.Database) {
	refused(t, usher(t, d.DSN, "copy"), 2, "--to is missing")
	refused(t, usher(t, d.DSN, "copy", "--to", d.DSN), 2, "the same database")
	refused(t, usher(t, d.DSN, "copy", "--to", aFile(t), "--silent-for", "0s"), 2, "such as 30s")
	refused(t, usher(t, d.DSN, "copy", "there"), 2, "no arguments")
	prepare(t, d)
	refused(t, usher(t, d.DSN, "copy", "--to", "oracle://usher:Wr0ng@127.0.0.1/usher"), 2, "wrong DSN")
	refused(t, usher(t, "oracle://usher:Wr0ng@127.0.0.1/usher", "copy", "--to", d.DSN), 2, "wrong DSN")
	refused(t, usher(t, d.DSN, "copy", "--to", "postgres://usher:Wr0ng@127.0.0.1:1/usher"), 1, "check that the server runs")
	file := aFile(t)
	refused(t, usher(t, file, "copy", "--to", d.DSN), 1, "no database at")
	require.NoError(t, os.WriteFile(strings.TrimPrefix(file, "sqlite:"), nil, 0o600))
	refused(t, usher(t, file, "copy", "--to", d.DSN), 1, "in the source, which lacks table dag")
}

// copyKilled: the real command is killed with SIGKILL in the middle of the copy, and goes on when it
// is run again. It is held up there by a row of somebody else, so that its time is known.
func copyKilled(t *testing.T, d testdb.Database) {
	file := aFile(t)
	done(t, file, "migrate")
	done(t, file, "dag", "set", "etl")
	done(t, file, "run", "queue", "etl", "--run-id", "r", "--count", "1500")
	done(t, d.DSN, "migrate")
	db := d.Open(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	held := db.Begin()
	require.NoError(t, held.Create(&models.DagRun{ID: 1200, DagID: "x", RunID: "x", RunAfter: models.At(time.Unix(0, 0))}).Error)
	cmd := command(t, ctx, file, "copy", "--to", d.DSN)
	require.NoError(t, cmd.Start())
	var copied int64
	for copied == 0 {
		require.NoError(t, ctx.Err())
		require.NoError(t, db.Model(&models.DagRun{}).Count(&copied).Error)
	}
	require.NoError(t, cmd.Process.Kill())
	require.ErrorContains(t, cmd.Wait(), "killed")
	require.NoError(t, held.Rollback().Error)
	require.EqualValues(t, 1000, copied)
	again := objects(t, file, "copy", "--to", d.DSN)
	require.Equal(t, map[string]any{"table": "dag_run", "rows": 1500.0, "copied": 500.0, "removed": 0.0}, again[1])
}

// TestCopySilence: who is taken for dead by a runner is no obstacle to a copy.
func TestCopySilence(t *testing.T) {
	require.Equal(t, runner.DefaultDeadAfter, transfer.DefaultSilence)
}

// leastToCopy: with what docs/GRANTS.md grants for it besides, a user can copy to the database, and
// without any of that not; with leave to read, from it.
func leastToCopy(t *testing.T, d testdb.Database, sql roles) {
	prepare(t, d)
	owner := d.Open(t)
	reader, from := newUser(t, d, sql)
	require.NoError(t, owner.Exec(fmt.Sprintf(sql.read, reader)).Error)
	file := aFile(t)
	done(t, from, "copy", "--to", file, "--ahead")
	done(t, from, "run", "list")

	name, to := newUser(t, d, sql)
	more := granted(t, "To copy to[^\n]*"+d.Engine, name)
	for _, grant := range append(granted(t, d.Engine, name), more...) {
		require.NoError(t, owner.Exec(grant).Error, grant)
	}
	full, empty := aFile(t), aFile(t)
	prepare(t, testdb.Database{DSN: full})
	done(t, full, "backfill", "create", "etl", "--from", "2023-01-01", "--to", "2023-01-03", "--schedule", "@daily")
	require.NoError(t, testdb.Database{DSN: full, Driver: "sqlite"}.Open(t).Create(&models.Job{}).Error)
	done(t, empty, "migrate")
	copying := func() result { // first there are rows in each table, then none
		for _, table := range models.All() {
			require.NoError(t, owner.Where("1 = 1").Delete(table).Error)
		}
		if first := usher(t, full, "copy", "--to", to, "--ahead"); first.status != 0 {
			return first
		}
		return usher(t, empty, "copy", "--to", to)
	}
	require.Equal(t, 0, copying().status)
	for _, grant := range more {
		revoke := strings.Replace(strings.Replace(grant, "GRANT", "REVOKE", 1), " TO ", " FROM ", 1)
		require.NoError(t, owner.Exec(revoke).Error, revoke)
		refused(t, copying(), 1, "that the user may read and write")
		require.NoError(t, owner.Exec(grant).Error)
	}
}
