// Command runner is a whole scheduler: it executes runs, two at a time, until it is interrupted.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := gorm.Open(sqlite.Open("runner.db?_busy_timeout=10000&_journal_mode=WAL"))
	check(err)
	check(db.Use(locking.New()))
	r, err := repo.New(db)
	check(err)
	check(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "etl", repo.MaxActiveRuns(2))
	check(err)
	etl := models.DagRun{DagID: "etl"}
	_, err = r.Enqueue(ctx, etl, etl, etl, etl, etl)
	check(err)
	check(runner.Run(ctx, r, func(_ context.Context, run models.DagRun) error {
		fmt.Println("executing", run.RunID)
		return nil // success; an error or a panic is a failure
	}))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
