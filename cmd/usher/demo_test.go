package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/internal/testdb"
)

// demo races for a short backfill in the test's database, and leaves nothing there.
func demo(t *testing.T, d testdb.Database) {
	chart := filepath.Join(t.TempDir(), "chart.svg")
	rows := objects(t, "", "demo", "--dsn", d.DSN, "--runs", "60", "--schedulers", "3", "--max-active-runs", "2", "--chart", chart)
	require.Len(t, rows, 1)
	require.EqualValues(t, 60, rows[0]["runs"])
	require.EqualValues(t, 3, rows[0]["schedulers"])
	require.EqualValues(t, 2, rows[0]["max_active_runs"])
	require.LessOrEqual(t, rows[0]["peak_with"], 2.0)
	require.Positive(t, rows[0]["peak_with"])
	require.Positive(t, rows[0]["peak_without"])
	drawn, err := os.ReadFile(chart)
	require.NoError(t, err)
	require.Contains(t, string(drawn), "max_active_runs")
	at, err := opendb.Parse(d.DSN)
	require.NoError(t, err)
	db, err := at.Open()
	require.NoError(t, err)
	tables, err := db.Migrator().GetTables()
	require.NoError(t, err)
	for _, table := range tables {
		require.NotContains(t, table, "usher_demo")
	}
	pool, err := db.DB()
	require.NoError(t, err)
	require.NoError(t, pool.Close())
}

func TestDemoSQLite(t *testing.T) {
	demo(t, testdb.Database{DSN: "sqlite:" + filepath.Join(t.TempDir(), "demo.db")})
	out := done(t, "", "demo", "--runs", "20", "--chart", filepath.Join(t.TempDir(), "chart.png"))
	require.Contains(t, out, "peak without")
}

func TestDemoPostgreSQL(t *testing.T) { demo(t, testdb.PostgreSQL(t)) }

func TestDemoMySQL(t *testing.T) { demo(t, testdb.MySQL(t)) }

func TestDemoMariaDB(t *testing.T) { demo(t, testdb.MariaDB(t)) }

func TestDemoRefusesNonsenseBeforeTheRace(t *testing.T) {
	for _, args := range [][]string{
		{"--runs", "0"}, {"--schedulers", "65"}, {"--max-active-runs", "0"}, {"--work", "-1s"}, {"--chart", "chart.txt"}, {"--dsn", "nonsense"},
	} {
		refused := usher(t, "", append([]string{"demo"}, args...)...)
		require.Equal(t, 2, refused.status, args)
		require.Empty(t, refused.stdout)
		require.NotEmpty(t, refused.stderr)
	}
}
