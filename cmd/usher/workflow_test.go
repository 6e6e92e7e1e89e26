package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
)

// workflow is a life from an empty database on, for people and with --json.
func workflow(t *testing.T, d testdb.Database) {
	require.Contains(t, done(t, d.DSN, "migrate"), "table dag_run")
	before := contents(t, d)
	again := usher(t, d.DSN, "migrate")
	require.Equal(t, 0, again.status)
	require.Empty(t, again.stdout)
	require.Contains(t, again.stderr, "up to date")
	require.Equal(t, before, contents(t, d))

	dag := objects(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "2", "--paused")
	require.Equal(t, []map[string]any{{"dag_id": "etl", "is_paused": true, "is_stale": false, "max_active_runs": 2.0}}, dag)
	queued := objects(t, d.DSN, "run", "queue", "etl", "--count", "3", "--run-id", "r", "--conf", `{"full":true}`)
	require.Equal(t, []any{"r_1", "r_2", "r_3"}, values(queued, "run_id"))
	require.Equal(t, map[string]any{"full": true}, queued[2]["conf"])

	held := usher(t, d.DSN, "admit")
	require.Equal(t, 0, held.status)
	require.Empty(t, held.stdout, "the DAG is paused")
	require.Contains(t, held.stderr, "no run was started")
	require.Equal(t, []any{false}, values(objects(t, d.DSN, "dag", "unpause", "etl"), "is_paused"))
	require.Equal(t, []any{true}, values(objects(t, d.DSN, "dag", "pause", "etl"), "is_paused"))
	require.Empty(t, objects(t, d.DSN, "admit"))
	done(t, d.DSN, "dag", "unpause", "etl")
	require.Equal(t, []any{"r_1", "r_2"}, values(objects(t, d.DSN, "admit"), "run_id"))

	ended := objects(t, d.DSN, "run", "finish", "etl", "r_1", "--state", "failed")
	require.Equal(t, []any{"failed"}, values(ended, "state"))
	cleared := objects(t, d.DSN, "run", "clear", "etl", "r_1")
	require.Equal(t, []any{"queued"}, values(cleared, "state"))
	require.Equal(t, []any{1.0}, values(cleared, "clear_number"))

	require.Equal(t, []any{"r_1", "r_2", "r_3"}, values(objects(t, d.DSN, "run", "list"), "run_id"))
	require.Equal(t, []any{"r_2"}, values(objects(t, d.DSN, "run", "list", "--dag", "etl", "--state", "running"), "run_id"))
	require.Equal(t, []any{"r_1"}, values(objects(t, d.DSN, "run", "list", "--limit", "1"), "run_id"))
	require.Equal(t, []map[string]any{{
		"kind": "dag", "dag_id": "etl", "backfill_id": 0.0, "max_active_runs": 2.0, "running": 1.0, "queued": 2.0, "admits": true,
		"waiting_since": cleared[0]["queued_at"],
	}}, objects(t, d.DSN, "status"))

	require.Regexp(t, `etl +false +false +2`, done(t, d.DSN, "dag", "list"))
	require.Regexp(t, `dag +etl +2 +1 +2 +\S+Z +true`, done(t, d.DSN, "status"))
	require.Regexp(t, `etl +r_2 +running`, done(t, d.DSN, "run", "list"))
	require.Regexp(t, `\A\S+Z  etl  r_1\n\z`, done(t, d.DSN, "admit"))
	examined(t, d, []any{"nothing"})
}

// examined is the doctor's report, which must say that things are missing, or nothing.
func examined(t *testing.T, d testdb.Database, missing []any) {
	t.Helper()
	report := objects(t, d.DSN, "doctor")
	got := map[any][]any{}
	for _, line := range report {
		require.Len(t, line, 3)
		require.Contains(t, line, "advice")
		got[line["check"]] = append(got[line["check"]], line["value"])
	}
	engine, _, _ := strings.Cut(d.Engine, " ")
	require.Regexp(t, `^`+engine+` \d+\.\d+`, got["engine"][0])
	require.NotEmpty(t, got["reason"][0])
	require.Equal(t, missing, got["missing"])
	strategy, isolation := "single writer", "the engine's own"
	if d.RowLocks {
		strategy, isolation = "skip locked", "Read Committed"
	}
	require.Equal(t, []any{strategy}, got["strategy"])
	require.Equal(t, []any{isolation}, got["isolation"])
	require.Greater(t, len(got), 8, "settings of the server")
	require.Contains(t, done(t, d.DSN, "doctor"), engine)
}

func keysAreColumns(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	dag := objects(t, d.DSN, "dag", "set", "etl")
	run := objects(t, d.DSN, "run", "queue", "etl")
	db := d.Open(t)
	for model, printed := range map[any]map[string]any{&models.Dag{}: dag[0], &models.DagRun{}: run[0]} {
		columns, err := db.Migrator().ColumnTypes(model)
		require.NoError(t, err)
		var names, keys []string
		for _, column := range columns {
			if column.Name() != "fence" { // means nothing to anybody
				names = append(names, column.Name())
			}
		}
		for key := range printed {
			keys = append(keys, key)
		}
		require.ElementsMatch(t, names, keys)
	}
}

func queueMany(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--default-limit")
	many := usher(t, d.DSN, "run", "queue", "etl", "--count", "2500")
	require.Equal(t, 0, many.status, many.stderr)
	require.Contains(t, many.stderr, "queued 2500 runs of DAG etl")
	require.Len(t, objects(t, d.DSN, "run", "list", "--limit", "3000"), 2500)
	before := contents(t, d)
	require.Equal(t, 0, usher(t, d.DSN, "run", "queue", "etl", "--run-id", "r_2").status)
	require.Equal(t, 4, usher(t, d.DSN, "run", "queue", "etl", "--run-id", "r", "--count", "2500").status)
	require.Len(t, objects(t, d.DSN, "run", "list", "--limit", "9000"), 2501, "all or none")
	require.NotEqual(t, before, contents(t, d))

	dated := objects(t, d.DSN, "run", "queue", "etl", "--logical-date", "2024-01-01T02:00:00+02:00", "--run-after", "2024-02-01")
	require.Equal(t, "manual__2024-01-01T00:00:00+00:00", dated[0]["run_id"])
	require.Equal(t, "2024-02-01T00:00:00Z", dated[0]["run_after"])
	b := models.Backfill{DagID: "etl", ReprocessBehavior: models.ReprocessNone, MaxActiveRuns: 1}
	for _, at := range []*models.Time{&b.FromDate, &b.ToDate, &b.CreatedAt, &b.UpdatedAt} {
		require.NoError(t, at.UnmarshalJSON([]byte(`"2024-01-01T00:00:00Z"`)))
	}
	require.NoError(t, d.Open(t).Create(&b).Error)
	require.Equal(t, []any{float64(b.ID), float64(b.ID)}, values(objects(t, d.DSN, "run", "queue", "etl", "--backfill", "1", "--count", "2"), "backfill_id"))
	gates := objects(t, d.DSN, "status")
	require.Equal(t, []any{"dag", "backfill"}, values(gates, "kind"))
	require.Equal(t, []any{2502.0, 2.0}, values(gates, "queued"))
}

func passes(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "2000")
	done(t, d.DSN, "run", "queue", "etl", "--count", "1100")
	require.Len(t, objects(t, d.DSN, "admit", "--passes", "1"), 500, "a pass starts 500")
	require.Len(t, objects(t, d.DSN, "admit", "--passes", "9"), 600)
	require.Empty(t, objects(t, d.DSN, "admit"))
	require.Len(t, objects(t, d.DSN, "run", "list", "--state", "running", "--limit", "2000"), 1100)
}

// watch starts a scheduler that watches, gives it work, and ends it with a signal.
func watch(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "1")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(t, ctx, d.DSN, "admit", "--watch", "--every", "20ms", "--json")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var messages strings.Builder
	cmd.Stderr = &messages
	require.NoError(t, cmd.Start())
	started := bufio.NewScanner(out)
	for _, id := range []string{"a", "b"} {
		done(t, d.DSN, "run", "queue", "etl", "--run-id", id)
		require.True(t, started.Scan(), "it ended: %s", &messages)
		var run models.DagRun
		require.NoError(t, json.Unmarshal(started.Bytes(), &run))
		require.Equal(t, id, run.RunID)
		require.Equal(t, models.Running, run.State)
		done(t, d.DSN, "run", "finish", "etl", id, "--state", "success")
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.False(t, started.Scan(), "nothing more was queued")
	require.NoError(t, cmd.Wait(), "exit status 0: %s", &messages)
	require.Equal(t, "started 2 runs\n", messages.String())
	states := values(objects(t, d.DSN, "run", "list"), "state")
	require.Equal(t, []any{"success", "success"}, states)
}
