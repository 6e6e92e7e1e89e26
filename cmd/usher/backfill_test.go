package main_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/repo"
)

// backfills is the life of a backfill, through the command.
func backfills(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl")
	db := d.Open(t)
	r, err := repo.New(db)
	require.NoError(t, err)
	gate, err := exercise.Backfill(t.Context(), db, r, "etl", 2, 5)
	require.NoError(t, err)
	id := strconv.FormatInt(gate.BackfillID, 10)
	one := func(args ...string) map[string]any {
		rows := objects(t, d.DSN, append([]string{"backfill"}, args...)...)
		require.Len(t, rows, 1)
		return rows[0]
	}
	require.Equal(t, "etl", one("list")["dag_id"])
	require.EqualValues(t, 2, one("show", id)["max_active_runs"])
	require.Equal(t, true, one("pause", id)["is_paused"])
	require.Empty(t, objects(t, d.DSN, "admit"))
	require.Equal(t, false, one("unpause", id)["is_paused"])
	require.EqualValues(t, 1, one("set", id, "--max-active-runs", "1")["max_active_runs"])
	require.Len(t, objects(t, d.DSN, "admit"), 1)
	require.Empty(t, objects(t, d.DSN, "backfill", "sweep"))
	require.NotNil(t, one("cancel", id)["completed_at"])
	require.Empty(t, objects(t, d.DSN, "backfill", "list"))
	require.Empty(t, objects(t, d.DSN, "backfill", "list", "--all", "--dag", "other"))
	before := contents(t, d)
	for _, args := range [][]string{
		{"4", "cancel", id},
		{"4", "pause", id},
		{"4", "unpause", id},
		{"4", "set", id, "--max-active-runs", "1"},
		{"3", "show", "4711"},
		{"3", "cancel", "4711"},
		{"2", "show", "x"},
		{"2", "show"},
		{"2", "set", id},
		{"2", "set", id, "--max-active-runs", "-1"},
		{"2", "list", "x"},
	} {
		refused := usher(t, d.DSN, append([]string{"backfill"}, args[1:]...)...)
		require.Equal(t, args[0], strconv.Itoa(refused.status), "%v: %s", args, refused.stderr)
		require.Empty(t, refused.stdout)
		require.NotEmpty(t, refused.stderr)
	}
	require.Equal(t, before, contents(t, d), "nothing has changed")
}
