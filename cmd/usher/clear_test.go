package main_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// clearMany queues ranges of runs again, and those that failed.
func clearMany(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "100")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "r", "--count", "30")
	for i := 1; i <= 3; i++ {
		done(t, d.DSN, "run", "queue", "etl", "--run-id", fmt.Sprint("day_", i), "--logical-date", fmt.Sprint("2024-01-0", i))
	}
	none := usher(t, d.DSN, "run", "clear", "etl", "--failed")
	require.Equal(t, result{0, "", "no run fits\n"}, none)
	done(t, d.DSN, "admit")
	for i := 1; i <= 3; i++ {
		done(t, d.DSN, "run", "finish", "etl", fmt.Sprint("day_", i), "--state", "success")
	}
	before := contents(t, d)
	dry := usher(t, d.DSN, "run", "clear", "etl", "--from", "2024-01-02", "--dry-run")
	require.Equal(t, 0, dry.status)
	require.Equal(t, "would queue 2 runs again\n", dry.stderr)
	require.Regexp(t, `(?s)etl +day_2 +queued.*etl +day_3 +queued`, dry.stdout)
	require.Equal(t, before, contents(t, d))

	cleared := objects(t, d.DSN, "run", "clear", "etl", "--from", "2024-01-02", "--to", "2024-01-02")
	require.Equal(t, []any{"day_2"}, values(cleared, "run_id"))
	require.Equal(t, []any{1.0}, values(cleared, "clear_number"))
	require.Empty(t, objects(t, d.DSN, "run", "clear", "etl", "--failed"))
	done(t, d.DSN, "run", "finish", "etl", "r_1", "--state", "failed")
	require.Equal(t, []any{"r_1"}, values(objects(t, d.DSN, "run", "clear", "etl", "--failed"), "run_id"))
	many := usher(t, d.DSN, "run", "clear", "etl", "--state", "running")
	require.Equal(t, 0, many.status)
	require.Equal(t, "queued 29 runs again\nthe first 20 are shown; --json prints all\n", many.stderr)
	require.Equal(t, []any{"day_1", "day_3"}, values(objects(t, d.DSN, "run", "clear", "etl", "--to", "2024-02-01"), "run_id"))
	require.Empty(t, objects(t, d.DSN, "run", "list", "--state", "running"))
}
