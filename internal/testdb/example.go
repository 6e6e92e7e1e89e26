package testdb

import (
	"os"
	"path/filepath"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/internal/opendb"
)

// ForExample is what gorm.Open makes of a fresh database, for an example, which has no test to end:
// done closes and removes it. It has no plugin yet.
func ForExample(options ...gorm.Option) (db *gorm.DB, done func()) {
	dir, err := os.MkdirTemp("", "usher")
	must(err)
	db, err = gorm.Open(opendb.SQLite("sqlite", filepath.Join(dir, "usher.db")), options...)
	must(err)
	db.Logger = logger.Discard // GORM's own writes to the example's output
	return db, func() {
		pool, err := db.DB()
		must(err)
		must(pool.Close())
		must(os.RemoveAll(dir))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
