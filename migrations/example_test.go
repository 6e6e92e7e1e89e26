package migrations_test

import (
	"fmt"
	"io/fs"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/migrations"
	"github.com/usher-go/usher/models"
)

// Tools such as goose read the files, each once and in order, and remember which they have read.
// Without any it looks like this.
func Example() {
	db, done := testdb.ForExample()
	defer done()

	files, err := fs.Glob(migrations.FS, "sqlite/*.up.sql")
	must(err)
	for _, name := range files {
		text, err := migrations.FS.ReadFile(name)
		must(err)
		must(db.Exec(string(text)).Error)
	}
	fmt.Println(files[0], db.Migrator().HasTable(&models.DagRun{}))
	// Output: sqlite/0001_tables.up.sql true
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
