// Command quickstart queues five runs of a DAG that may run two at a time, and executes them.
package main

import (
	"context"
	"fmt"
	"log"

	"gorm.io/driver/sqlite" // or gorm.io/driver/postgres, gorm.io/driver/mysql
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func main() {
	ctx := context.Background()
	db, err := gorm.Open(sqlite.Open("quickstart.db"))
	check(err)
	check(db.Use(locking.New())) // finds the engine, and how rows are held there
	r, err := repo.New(db)
	check(err)
	check(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "etl", repo.MaxActiveRuns(2))
	check(err)
	etl := models.DagRun{DagID: "etl"}
	_, err = r.Enqueue(ctx, etl, etl, etl, etl, etl)
	check(err)
	for runs, err := range r.AdmitAll(ctx) { // pass after pass, never more than two at a time
		check(err)
		for _, run := range runs {
			fmt.Println("executing", run.RunID)
			check(r.Finish(ctx, run, models.Success)) // frees the slot
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
