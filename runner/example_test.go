package runner_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

// A scheduler in one call. A program has its context end with a signal (signal.NotifyContext);
// this one ends with its last run.
func ExampleRun() {
	db, done := testdb.ForExample() // gorm.Open(postgres.Open(dsn)), say
	defer done()
	must(db.Use(locking.New()))
	r, err := repo.New(db)
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	must(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "etl", repo.MaxActiveRuns(1))
	must(err)
	_, err = r.Enqueue(ctx, models.DagRun{DagID: "etl", RunID: "first"}, models.DagRun{DagID: "etl", RunID: "last"})
	must(err)

	err = runner.Run(ctx, r, func(_ context.Context, run models.DagRun) error {
		fmt.Println("executing", run.RunID)
		if run.RunID == "first" {
			return errors.New("the source is closed on holidays")
		}
		stop()
		return nil
	}, runner.Workers(4))
	fmt.Println("ended:", err)

	runs, err := r.Runs(context.Background(), repo.RunQuery{})
	must(err)
	for _, run := range runs {
		fmt.Println(run.RunID, run.State)
	}
	// Output:
	// executing first
	// executing last
	// ended: <nil>
	// first failed
	// last success
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
