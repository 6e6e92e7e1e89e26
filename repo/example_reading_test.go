package repo_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// A limit is set, and a DAG is paused: what is not named stays as it is.
func ExampleRepo_SetDag() {
	r, done := open()
	defer done()

	_, err := r.SetDag(ctx, "report", repo.MaxActiveRuns(1)) // made, since there is none yet
	must(err)
	dag, err := r.SetDag(ctx, "report", repo.Paused(true))
	must(err)
	fmt.Println(*dag.MaxActiveRuns, dag.IsPaused)
	// Output: 1 true
}

func ExampleRepo_Dag() {
	r, done := open()
	defer done()

	dag, err := r.Dag(ctx, "etl")
	must(err)
	fmt.Println(*dag.MaxActiveRuns)
	_, err = r.Dag(ctx, "unheard of")
	fmt.Println(errors.Is(err, repo.ErrDagNotFound))
	// Output:
	// 2
	// true
}

func ExampleRepo_Dags() {
	r, done := open()
	defer done()
	_, err := r.SetDag(ctx, "archive")
	must(err)

	dags, err := r.Dags(ctx)
	must(err)
	for _, dag := range dags {
		fmt.Println(dag.DagID)
	}
	// Output:
	// archive
	// etl
}

func ExampleRepo_Run() {
	r, done := open()
	defer done()
	queue(r, "a")

	run, err := r.Run(ctx, "etl", "a")
	must(err)
	show(run)
	_, err = r.Run(ctx, "etl", "b")
	fmt.Println(errors.Is(err, repo.ErrRunNotFound))
	// Output:
	// a queued
	// true
}

// A long list is read page by page.
func ExampleRepo_Runs() {
	r, done := open()
	defer done()
	queue(r, "a", "b", "c")

	query := repo.RunQuery{DagID: "etl", State: models.Queued, Limit: 2}
	for {
		page, err := r.Runs(ctx, query)
		must(err)
		if len(page) == 0 {
			break
		}
		fmt.Println("a page")
		show(page...)
		query.After = page[len(page)-1].ID
	}
	// Output:
	// a page
	// a queued
	// b queued
	// a page
	// c queued
}

// A page of a dashboard: how full the gates are.
func ExampleRepo_Status() {
	r, done := open()
	defer done()
	queue(r, "a", "b", "c")
	_, err := r.Admit(ctx)
	must(err)

	gates, err := r.Status(ctx)
	must(err)
	for _, gate := range gates {
		fmt.Printf("%s: %d of %d running, %d queued\n", gate, gate.Running, gate.MaxActiveRuns, gate.Queued)
	}
	// Output: DAG etl: 2 of 2 running, 1 queued
}

// The run of a backfill goes through the gate of the backfill, any other through that of its DAG.
func ExampleGateOf() {
	backfill := int64(7)
	fmt.Println(repo.GateOf(models.DagRun{DagID: "etl"}))
	fmt.Println(repo.GateOf(models.DagRun{DagID: "etl", BackfillID: &backfill}))
	// Output:
	// DAG etl
	// backfill 7 of DAG etl
}

// Somebody asks why a run does not start.
func ExampleRepo_Why() {
	r, done := open()
	defer done()
	queue(r, "a", "b", "c")
	_, err := r.Admit(ctx)
	must(err)
	_, err = r.SetDag(ctx, "etl", repo.Paused(true))
	must(err)

	why, err := r.Why(ctx, "etl", "c")
	must(err)
	for _, reason := range why.Reasons {
		fmt.Printf("%s: %s\n", reason.Kind, reason.Text)
	}
	// Output:
	// dag_paused: DAG etl is paused
	// gate_full: the gate of DAG etl is full: 2 of 2 slots are taken
}

// The history shows that a limit, as it is now, was exceeded.
func ExampleRepo_Audit() {
	hour := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	r, done := open(repo.WithClock(func() time.Time { return hour }))
	defer done()
	queue(r, "a", "b")
	runs, err := r.Admit(ctx)
	must(err)
	hour = hour.Add(time.Hour)
	must(r.FinishAll(ctx, runs, models.Success))
	_, err = r.SetDag(ctx, "etl", repo.MaxActiveRuns(1)) // which was 2 until now
	must(err)

	for violation, err := range r.Audit(ctx, "etl") {
		must(err)
		fmt.Printf("%s: %d ran where %d may\n", violation.Gate, violation.Peak, violation.MaxActiveRuns)
		fmt.Println(violation.From, "to", violation.To)
	}
	// Output:
	// DAG etl: 2 ran where 1 may
	// 2024-01-01 00:00:00 +0000 UTC to 2024-01-01 01:00:00 +0000 UTC
}
