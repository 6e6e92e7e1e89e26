//go:build cgo

package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite"
)

const (
	mattn   = "sqlite3"
	modernc = "sqlite"
)

// A driver of SQLite says nothing of a parameter that it does not know, so the database is asked
// what it was told: for the ways to open it in docs/engines, and for what that page says of the
// drivers' defaults and of each other's spelling. The README says the same.
func TestSQLitePageOpens(t *testing.T) {
	page, err := os.ReadFile("../docs/engines/sqlite.md")
	require.NoError(t, err)
	parameters := func(call string) string {
		how := regexp.MustCompile(regexp.QuoteMeta(call) + `"[a-z:]*app\.db(\?[^"]+)"`)
		found, again := how.FindAllStringSubmatch(string(page), -1), how.FindAllStringSubmatch(readme(t), -1)
		require.Len(t, found, 1, call)
		require.Len(t, again, 1, call)
		require.Equal(t, found[0][1], again[0][1])
		return found[0][1]
	}
	ofMattn, ofModernc := parameters("sqlite.Open("), parameters(`DriverName: "sqlite", DSN: `)
	for _, c := range []struct {
		driver, parameters string
		timeout            int
		journal            string
	}{
		{mattn, "", 5000, "delete"},
		{mattn, ofMattn, 10000, "wal"},
		{mattn, ofModernc, 5000, "delete"},
		{modernc, "", 0, "delete"},
		{modernc, ofModernc, 10000, "wal"},
		{modernc, ofMattn, 10000, "wal"},
	} {
		timeout, journal := told(t, c.driver, c.parameters)
		require.Equal(t, c.timeout, timeout, "%s%s", c.driver, c.parameters)
		require.Equal(t, c.journal, journal, "%s%s", c.driver, c.parameters)
	}
}

// told opens a new file with the parameters and asks what came of them.
func told(t *testing.T, driver, parameters string) (timeout int, journal string) {
	file := "file:" + filepath.Join(t.TempDir(), "app.db")
	db, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: driver, DSN: file + parameters}))
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, db.Raw("PRAGMA busy_timeout").Scan(&timeout).Error)
	require.NoError(t, db.Raw("PRAGMA journal_mode").Scan(&journal).Error)
	return timeout, journal
}
