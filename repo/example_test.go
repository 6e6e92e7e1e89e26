package repo_test

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

var ctx = context.Background()

// From gorm.Open to a run that is executed.
func ExampleNew() {
	db, done := testdb.ForExample() // gorm.Open(postgres.Open(dsn)), say
	defer done()

	must(db.Use(locking.New()))
	r, err := repo.New(db)
	must(err)
	must(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "etl")
	must(err)
	_, err = r.Enqueue(ctx, models.DagRun{DagID: "etl", RunID: "first"})
	must(err)
	runs, err := r.Admit(ctx)
	must(err)
	for _, run := range runs {
		fmt.Println("executing", run.RunID)
		must(r.Finish(ctx, run, models.Success))
	}
	// Output: executing first
}

// Order is a row of the application's.
type Order struct{ Number string }

// The run that bills an order is queued when the order is committed, and only then; an order
// whose run is refused is not there either.
func ExampleRepo_WithTx() {
	db, done := database()
	defer done()
	r := over(db)
	must(db.AutoMigrate(&Order{}))
	_, err := r.SetDag(ctx, "bill")
	must(err)

	place := func(order Order) error {
		err := db.Transaction(func(tx *gorm.DB) error {
			in, err := r.WithTx(tx)
			if err != nil {
				return err
			}
			if err := tx.Create(&order).Error; err != nil {
				return err
			}
			_, err = in.Enqueue(ctx, models.DagRun{DagID: "bill", RunID: order.Number})
			return err
		})
		return err
	}
	fmt.Println(place(Order{Number: "A1"}))
	fmt.Println(errors.Is(place(Order{Number: "A1"}), repo.ErrExists))

	var orders int64
	must(db.Model(&Order{}).Count(&orders).Error)
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println(orders, runs[0].RunID, runs[0].State)
	// Output:
	// <nil>
	// true
	// 1 A1 running
}

// Somebody is to hear of the runs that failed.
func ExampleWithObserver() {
	r, done := open(repo.WithObserver(repo.Observer{
		Changed: func(_ context.Context, state models.State, runs []models.DagRun) {
			for _, run := range runs {
				fmt.Println(run.RunID, "is", state)
			}
		},
		Passed: func(_ context.Context, pass repo.Pass) { fmt.Println("a pass started", pass.Started) },
	}))
	defer done()

	queue(r, "a")
	runs, err := r.Admit(ctx)
	must(err)
	must(r.Finish(ctx, runs[0], models.Failed))
	// Output:
	// a is queued
	// a pass started 1
	// a is running
	// a is failed
}

// A run with a column of the application's own.
type TaggedRun struct {
	models.DagRun
	Team *string `gorm:"size:100"`
}

// A service migrates when it starts. The columns that the application adds to usher's tables are
// made with the others.
func ExampleRepo_Migrate() {
	db, done := database()
	defer done()
	r, err := repo.New(db)
	must(err)

	must(r.Migrate(ctx, &TaggedRun{}))
	fmt.Println(db.Migrator().HasColumn("dag_run", "team"))
	// Output: true
}

// A service whose schema somebody else migrates refuses to start on an older one.
func ExampleRepo_Missing() {
	r, done := open()
	defer done()

	missing, err := r.Missing(ctx)
	must(err)
	fmt.Println(missing)
	missing, err = r.Missing(ctx, &TaggedRun{})
	must(err)
	fmt.Println(missing)
	// Output:
	// []
	// [column dag_run.team]
}

// A verb says of its error whether it is worth while to come again.
func ExampleRepo_Transient() {
	r, done := open()
	defer done()

	late, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	_, err := r.Admit(late)
	fmt.Println(r.Transient(err))
	_, err = r.Enqueue(ctx, models.DagRun{DagID: "unheard of"})
	fmt.Println(r.Transient(err))
	// Output:
	// true
	// false
}

// open is a repository over a database of its own, which done removes. The DAG "etl" may run two
// runs at a time.
func open(options ...repo.Option) (r *repo.Repo, done func()) {
	db, done := database()
	return over(db, options...), done
}

// database is a fresh one with the plugin.
func database() (db *gorm.DB, done func()) {
	db, done = testdb.ForExample()
	must(db.Use(locking.New()))
	return db, done
}

// over is a repository over the database, with the tables and the DAG "etl".
func over(db *gorm.DB, options ...repo.Option) *repo.Repo {
	r, err := repo.New(db, options...)
	must(err)
	must(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "etl", repo.MaxActiveRuns(2))
	must(err)
	return r
}

// queue queues runs of the DAG "etl".
func queue(r *repo.Repo, ids ...string) {
	for _, id := range ids {
		_, err := r.Enqueue(ctx, models.DagRun{DagID: "etl", RunID: id})
		must(err)
	}
}

// show prints what there is to see of runs.
func show(runs ...models.DagRun) {
	for _, run := range runs {
		fmt.Println(run.RunID, run.State)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
