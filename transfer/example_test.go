package transfer_test

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/transfer"
)

// An application moves from one database to another. Once schedulers work on the new one, nothing
// is copied there any more.
func ExampleCopy() {
	ctx := context.Background()
	from, source, done := open(ctx)
	defer done()
	to, target, done := open(ctx)
	defer done()
	_, err := source.SetDag(ctx, "etl", repo.MaxActiveRuns(2))
	must(err)
	_, err = source.Enqueue(ctx, models.DagRun{DagID: "etl"}, models.DagRun{DagID: "etl"})
	must(err)

	tables, err := transfer.Copy(ctx, from, to)
	must(err)
	for _, table := range tables {
		fmt.Println(table.Name, table.Copied)
	}
	runs, err := target.Admit(ctx) // where the source has left off
	must(err)
	fmt.Println(len(runs), "running")

	_, err = transfer.Copy(ctx, from, to)
	fmt.Println(errors.Is(err, transfer.ErrForeign))
	// Output:
	// dag 1
	// dag_run 2
	// backfill 0
	// backfill_dag_run 0
	// job 0
	// 2 running
	// true
}

// open is a database with usher's tables, which done removes.
func open(ctx context.Context) (db *gorm.DB, r *repo.Repo, done func()) {
	db, done = testdb.ForExample()
	must(db.Use(locking.New()))
	r, err := repo.New(db)
	must(err)
	must(r.Migrate(ctx))
	return db, r, done
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
