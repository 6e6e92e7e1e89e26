package main_test

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestCommandSQLite(t *testing.T) {
	database := func(t *testing.T) testdb.Database { return testdb.SQLite(t, "sqlite") }
	conform(t, database)
	t.Run("file that is not there", missingFile)
	t.Run("file that may not be written", lockedFile)
}

func TestCommandPostgreSQL(t *testing.T) {
	database := func(t *testing.T) testdb.Database { return testdb.PostgreSQL(t) }
	conform(t, database)
	onServer(t, database, roles{
		create: "CREATE ROLE %s LOGIN PASSWORD '%s'",
		read:   "GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s",
		revoke: "DROP OWNED BY %s",
		drop:   "DROP ROLE %s",
	})
}

func TestCommandMySQL(t *testing.T) {
	database := func(t *testing.T) testdb.Database { return testdb.MySQL(t) }
	conform(t, database)
	onServer(t, database, mysqlRoles)
}

func TestCommandMariaDB(t *testing.T) {
	database := func(t *testing.T) testdb.Database { return testdb.MariaDB(t) }
	conform(t, database)
	onServer(t, database, mysqlRoles)
}

var mysqlRoles = roles{
	create: "CREATE USER %s IDENTIFIED BY '%s'",
	read:   "GRANT SELECT ON * TO %s",
	revoke: "REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s",
	drop:   "DROP USER %s",
}

// conform is what the command does on every engine.
func conform(t *testing.T, database func(*testing.T) testdb.Database) {
	for name, check := range map[string]func(*testing.T, testdb.Database){
		"from migrate to doctor": workflow,
		"keys are columns":       keysAreColumns,
		"queue many":             queueMany,
		"passes":                 passes,
		"watch":                  watch,
		"no tables":              noTables,
		"refusals":               refusals,
		"backfills":              backfills,
		"create backfills":       createBackfills,
		"clear many":             clearMany,
		"why":                    why,
		"audit":                  audit,
		"jobs":                   jobs,
		"copies":                 copies,
		"refusals of copies":     copyRefusals,
	} {
		t.Run(name, func(t *testing.T) { check(t, database(t)) })
	}
}
