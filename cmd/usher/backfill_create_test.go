package main_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// createBackfills is the creation of backfills, and what comes of them, through the command.
func createBackfills(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl")
	done(t, d.DSN, "run", "queue", "etl", "--logical-date", "2024-01-02")
	create := []string{"backfill", "create", "etl", "--from", "2024-01-01", "--to", "2024-01-04", "--schedule", "@daily"}
	with := func(more ...string) []string { return append(slices.Clone(create), more...) }

	before := contents(t, d)
	dry := objects(t, d.DSN, with("--dry-run")...)
	require.Equal(t, []any{"", "in flight", "", ""}, values(dry, "exception_reason"))
	require.Equal(t, []any{1., 2., 3., 4.}, values(dry, "sort_ordinal"))
	require.Equal(t, "2024-01-01T00:00:00Z", dry[0]["logical_date"])
	table := usher(t, d.DSN, with("--dry-run", "--reverse")...)
	require.Equal(t, 0, table.status, table.stderr)
	require.Regexp(t, `(?m)^ +1 +2024-01-04T00:00:00Z +new\s+2 +2024-01-03T00:00:00Z +new\s+3 +2024-01-02T00:00:00Z +skipped: in flight\s+4 +2024-01-01T00:00:00Z +new`, table.stdout)
	require.Equal(t, "dry run, nothing was written: 3 runs would be queued, 1 dates skipped (1 in flight)\n", table.stderr)
	require.Empty(t, objects(t, d.DSN, "backfill", "create", "etl", "--from", "2024-01-03", "--to", "2024-01-03", "--schedule", "0 0 * * MON", "--dry-run"))
	require.Equal(t, before, contents(t, d), "nothing has changed")

	made := usher(t, d.DSN, with("--max-active-runs", "1", "--conf", `{"full": true}`, "--user", "ada", "--paused", "--json")...)
	require.Equal(t, 0, made.status, made.stderr)
	require.Regexp(t, `\Acreated backfill \d+ of DAG etl: 3 runs queued, 1 dates skipped \(1 in flight\)\n\z`, made.stderr)
	b := objects(t, d.DSN, "backfill", "list")[0]
	require.Contains(t, made.stdout, `"dag_run_conf":{"full":true}`)
	require.Equal(t, []any{"ada", 1., true, "none", "2024-01-04T00:00:00Z"}, []any{b["triggering_user_name"], b["max_active_runs"], b["is_paused"], b["reprocess_behavior"], b["to_date"]})
	id := strconv.FormatFloat(b["id"].(float64), 'f', 0, 64)
	dates := objects(t, d.DSN, "backfill", "show", id, "--dates")
	require.Equal(t, []any{"", "in flight", "", ""}, values(dates, "exception_reason"))
	require.Contains(t, done(t, d.DSN, "backfill", "show", id, "--dates"), "skipped: in flight")

	refuseBackfills(t, d, create, id)

	done(t, d.DSN, "backfill", "cancel", id)
	resumed := usher(t, d.DSN, "backfill", "resume", id)
	require.Equal(t, 0, resumed.status, resumed.stderr)
	require.Equal(t, "queued 3 failed runs of backfill "+id+" of DAG etl again\n", resumed.stderr)
	other := usher(t, d.DSN, "backfill", "create", "etl", "--date", "2024-03-01", "--date", "2023-03-01", "--parallel")
	refused(t, other, 4, "--parallel")
	require.Len(t, objects(t, d.DSN, "backfill", "create", "etl", "--date", "2024-03-01", "--date", "2024-02-01", "--parallel"), 1)
	require.Equal(t, []any{1., 1., 1.}, values(objects(t, d.DSN, "run", "list", "--dag", "etl", "--state", "queued"), "clear_number")[1:4])
}

// refuseBackfills are command lines that are wrong while a backfill is active.
func refuseBackfills(t *testing.T, d testdb.Database, create []string, id string) {
	before := contents(t, d)
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"create etl", 2, "give --from, --to and --schedule, or --date"},
		{"create etl --from 2024-01-01 --to 2024-01-02", 2, "give --from, --to and --schedule, or --date"},
		{"create etl --from 2024-01-01 --date 2024-01-01", 2, "give dates, or a range and a schedule"},
		{"create etl --date yesterday", 2, "--date \"yesterday\" is no time"},
		{"create etl --from x --to 2024-01-02 --schedule @daily", 2, "--from"},
		{"create etl --from 2024-01-01 --to x --schedule @daily", 2, "--to"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @once", 2, "not periodic"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @dayly", 2, "five fields"},
		{"create etl --from 2024-01-02 --to 2024-01-01 --schedule @daily", 2, "ends before it begins"},
		{"create etl --from 2999-01-02 --to 2999-01-03 --schedule @daily", 2, "in the future"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @daily --timezone Mars", 2, "Europe/Berlin"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @daily --timezone Local", 2, "Europe/Berlin"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @daily --conf {", 2, "invalid JSON"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @daily --reprocess all", 2, "none, failed or completed"},
		{"create etl --from 2024-01-01 --to 2024-01-02 --schedule @daily --max-active-runs 0", 2, "--paused"},
		{"create nothing --from 2024-01-01 --to 2024-01-02 --schedule @daily", 3, "usher dag set"},
		{"create etl --from 2024-02-01 --to 2024-02-02 --schedule @daily", 4, "cancel it"},
		{"create etl --from 2024-01-03 --to 2024-02-02 --schedule @daily --parallel", 4, "another backfill"},
		{"create etl --from 2024-02-03 --to 2024-02-03 --schedule 0_0_*_*_MON --parallel", 2, "--dry-run"},
		{"create", 2, "give DAG"},
		{"resume x", 2, "no id"},
		{"resume 4711", 3, "no such backfill"},
		{"resume " + id, 4, "has not ended"},
		{"show 4711 --dates", 3, "no such backfill"},
		{"show x --dates", 2, "no id"},
	} {
		args := append([]string{"backfill"}, strings.Fields(c.args)...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		refused(t, usher(t, d.DSN, args...), c.status, c.says)
	}
	require.Equal(t, before, contents(t, d), "nothing has changed")
}

// TestTimeZones: schedule and times without an offset are those of the zone, also where the
// machine knows no zones.
func TestTimeZones(t *testing.T) {
	d := testdb.SQLite(t, "sqlite")
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl")
	for _, c := range []struct {
		zone, from, to, schedule string
		want                     []string
	}{
		{"Europe/Berlin", "2025-03-29", "2025-03-31", "@daily", []string{"2025-03-28T23:00:00Z", "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z"}},
		{"Europe/Berlin", "2025-10-26T02:30:00", "2025-10-26T02:30:00", "30 2 * * *", []string{"2025-10-26T01:30:00Z"}},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04", "@daily", []string{"2018-11-04T03:00:00Z"}},
		{"America/New_York", "2025-01-01T00:00:00Z", "2025-01-01T12:00:00Z", "@daily", []string{"2025-01-01T05:00:00Z"}},
		{"UTC", "2025-01-01T01:00:00", "2025-01-01T14:00:00", "@every 6h", []string{"2025-01-01T01:00:00Z", "2025-01-01T07:00:00Z", "2025-01-01T13:00:00Z"}},
	} {
		cmd := command(t, t.Context(), d.DSN, "backfill", "create", "etl", "--from", c.from, "--to", c.to, "--schedule", c.schedule, "--timezone", c.zone, "--dry-run", "--json")
		cmd.Env = append(cmd.Env, "ZONEINFO="+os.DevNull)
		r := finish(t, cmd)
		require.Equal(t, 0, r.status, r.stderr)
		for _, want := range c.want {
			require.Contains(t, r.stdout, want)
		}
		require.Equal(t, len(c.want), strings.Count(r.stdout, "\n"))
	}
}
