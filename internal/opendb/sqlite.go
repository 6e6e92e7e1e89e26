package opendb

import (
	"net/url"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// SQLite is GORM's dialector for a file, through the driver of that name in database/sql:
// "sqlite3" is mattn's, which needs cgo, and "sqlite" is modernc's, which does not. A writer
// waits ten seconds for another one, readers do not block the writer, and what was committed
// survives a crash of the machine. Each connection may keep 64 MB of the file in memory.
func SQLite(driver, path string) gorm.Dialector { return sqliteFile(driver, path, false) }

// sqliteFile is SQLite, for a file that is not to be made when it does not exist if existing is set.
func sqliteFile(driver, path string, existing bool) gorm.Dialector {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-65536)"}}
	if driver == "sqlite3" {
		q = url.Values{"_busy_timeout": {"10000"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_cache_size": {"-65536"}}
	}
	if existing {
		q.Set("mode", "rw")
	}
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return sqlite.New(sqlite.Config{DriverName: driver, DSN: file.String()})
}
