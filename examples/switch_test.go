//go:build cgo

package examples

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestSwitchOnSQLite(t *testing.T) { switched(t, "sqlite:switch.db") }

func TestSwitchOnPostgreSQL(t *testing.T) { switched(t, testdb.PostgreSQL(t).DSN) }

func TestSwitchOnMySQL(t *testing.T) { switched(t, testdb.MySQL(t).DSN) }

func TestSwitchOnMariaDB(t *testing.T) { switched(t, testdb.MariaDB(t).DSN) }

// switched: three processes that are started at once, on whatever the DSN says.
func switched(t *testing.T, dsn string) {
	c := newCrew(t, "./examples/switch")
	for range 3 {
		c.start(nil, dsn)
	}
	c.until("all are executed", func() bool {
		ended, _ := c.executed("")
		return len(ended) == 20
	})
	c.end()
	c.once(20, 3, "")
}
