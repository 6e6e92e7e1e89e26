package main_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// reasons asks why, for people and with --json: each kind of reason comes with its sentence.
func reasons(t *testing.T, d testdb.Database, dag, run string, want ...string) map[string]any {
	t.Helper()
	rows := objects(t, d.DSN, "why", dag, run)
	require.Len(t, rows, 1)
	require.Equal(t, run, rows[0]["run"].(map[string]any)["run_id"])
	var kinds, text []string
	for _, r := range rows[0]["reasons"].([]any) {
		reason := r.(map[string]any)
		kinds = append(kinds, reason["kind"].(string))
		text = append(text, reason["text"].(string))
	}
	require.Equal(t, want, kinds)
	people := done(t, d.DSN, "why", dag, run)
	for _, sentence := range text {
		require.Contains(t, people, sentence[1:]+".\n")
	}
	require.Regexp(t, `\A[A-Z]`, people)
	return rows[0]
}

// why is every reason for which a run may wait, through the command.
func why(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "1")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "r", "--count", "3")
	reasons(t, d, "etl", "r_1", "next_pass")
	require.Equal(t, "Nothing: the next pass will start it.\n", done(t, d.DSN, "why", "etl", "r_1"))
	reasons(t, d, "etl", "r_3", "behind")
	require.Equal(t, "Due runs that come before it in the gate's order: 2.\n", done(t, d.DSN, "why", "etl", "r_3"))
	done(t, d.DSN, "admit")
	full := reasons(t, d, "etl", "r_3", "gate_full", "behind")
	require.EqualValues(t, 1, full["max_active_runs"])
	require.EqualValues(t, 1, full["running"])
	require.Regexp(t, `full: 1 of 1 slots are taken\.\n  r_1 since 20\S+Z\nDue runs`, done(t, d.DSN, "why", "etl", "r_3"))
	holder := full["reasons"].([]any)[0].(map[string]any)["holders"].([]any)[0].(map[string]any)
	require.Equal(t, "r_1", holder["run_id"])
	require.NotEmpty(t, holder["start_date"])
	reasons(t, d, "etl", "r_1", "not_queued")
	require.Regexp(t, `\AIt is running since 20\S+\.\n\z`, done(t, d.DSN, "why", "etl", "r_1"))
	done(t, d.DSN, "run", "finish", "etl", "r_1", "--state", "failed")
	require.Regexp(t, `\AIt ended in failed at 20`, done(t, d.DSN, "why", "etl", "r_1"))

	done(t, d.DSN, "dag", "set", "etl", "--paused", "--stale")
	reasons(t, d, "etl", "r_2", "dag_paused", "dag_stale")
	done(t, d.DSN, "dag", "set", "etl", "--paused=false", "--stale=false", "--max-active-runs", "0")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "later", "--run-after", "2999-01-01")
	late := reasons(t, d, "etl", "later", "not_due", "gate_full")
	require.Equal(t, "2999-01-01T00:00:00Z", late["reasons"].([]any)[0].(map[string]any)["run_after"])
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "1")

	refused(t, usher(t, d.DSN, "why", "etl", "none"), 3, "usher run list")
	refused(t, usher(t, d.DSN, "why", "none", "r_1"), 3, "usher dag list")
	refused(t, usher(t, d.DSN, "why", "etl"), 2, "DAG and RUN")
	refused(t, usher(t, d.DSN, "why", "", "r_1"), 2, "DAG id: it is empty")
	whyNotOfBackfill(t, d)
}

// whyNotOfBackfill has the reasons of a backfill's gate, and those that need the database to be tampered with.
func whyNotOfBackfill(t *testing.T, d testdb.Database) {
	db := d.Open(t)
	r, err := repo.New(db)
	require.NoError(t, err)
	gate, err := exercise.Backfill(t.Context(), db, r, "etl", 1, 1)
	require.NoError(t, err)
	id := strconv.FormatInt(gate.BackfillID, 10)
	run := "backfill_" + id + "__2022-01-01"
	reasons(t, d, "etl", run, "next_pass")
	done(t, d.DSN, "backfill", "pause", id)
	reasons(t, d, "etl", run, "backfill_paused")
	done(t, d.DSN, "backfill", "unpause", id)

	tx := db.Begin()
	require.NoError(t, tx.Error)
	defer tx.Rollback()
	_, err = locking.Hold(tx, locking.Rows{Model: &models.Backfill{}, Fence: "fence"}, []int64{gate.BackfillID})
	require.NoError(t, err)
	reasons(t, d, "etl", run, "gate_held")
	require.True(t, strings.HasPrefix(done(t, d.DSN, "why", "etl", run), "Another transaction holds the gate of backfill "+id))
	require.NoError(t, tx.Rollback().Error)
	reasons(t, d, "etl", run, "next_pass")

	require.NoError(t, db.Delete(&models.Backfill{ID: gate.BackfillID}).Error)
	reasons(t, d, "etl", run, "backfill_missing")
	require.NoError(t, db.Delete(&models.Dag{DagID: "etl"}).Error)
	reasons(t, d, "etl", run, "dag_missing", "backfill_missing")
	reasons(t, d, "etl", "r_2", "dag_missing")
}
