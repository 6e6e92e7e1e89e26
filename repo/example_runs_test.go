package repo_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Runs are queued together or not at all. What is left empty gets a default.
func ExampleRepo_Enqueue() {
	r, done := open()
	defer done()

	first := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	conf, err := models.ParseJSON(`{"full": true}`)
	must(err)
	runs, err := r.Enqueue(
		ctx,
		models.DagRun{DagID: "etl", LogicalDate: models.At(first)},
		models.DagRun{DagID: "etl", RunID: "by hand", Conf: conf},
	)
	must(err)
	show(runs...)

	_, err = r.Enqueue(ctx, models.DagRun{DagID: "etl", RunID: "new"}, models.DagRun{DagID: "etl", RunID: "by hand"})
	fmt.Println(errors.Is(err, repo.ErrExists))
	_, err = r.Run(ctx, "etl", "new")
	fmt.Println(errors.Is(err, repo.ErrRunNotFound))
	// Output:
	// manual__2024-01-01T00:00:00+00:00 queued
	// by hand queued
	// true
	// true
}

// Of three runs two may run at a time; the third starts once one has ended.
func ExampleRepo_Admit() {
	r, done := open()
	defer done()
	queue(r, "a", "b", "c")

	runs, err := r.Admit(ctx)
	must(err)
	show(runs...)

	none, err := r.Admit(ctx)
	must(err)
	fmt.Println(len(none), "more")

	must(r.Finish(ctx, runs[0], models.Success))
	runs, err = r.Admit(ctx)
	must(err)
	show(runs...)
	// Output:
	// a running
	// b running
	// 0 more
	// c running
}

// A scheduler with one hand free takes one run, though two might start.
func ExampleRepo_AdmitAtMost() {
	r, done := open()
	defer done()
	queue(r, "a", "b")

	runs, err := r.AdmitAtMost(ctx, 1)
	must(err)
	show(runs...)
	// Output: a running
}

// A batch job executes what waits, and ends when there is no more.
func ExampleRepo_AdmitAll() {
	r, done := open()
	defer done()
	queue(r, "a", "b", "c")

	for runs, err := range r.AdmitAll(ctx) {
		must(err)
		fmt.Println("a pass")
		for _, run := range runs {
			fmt.Println("executing", run.RunID)
			must(r.Finish(ctx, run, models.Success))
		}
	}
	// Output:
	// a pass
	// executing a
	// executing b
	// a pass
	// executing c
}

// A run ends once. Who says so a second time is told.
func ExampleRepo_Finish() {
	r, done := open()
	defer done()
	queue(r, "a")
	runs, err := r.Admit(ctx)
	must(err)

	must(r.Finish(ctx, runs[0], models.Success))
	err = r.Finish(ctx, runs[0], models.Failed)
	fmt.Println(errors.Is(err, repo.ErrState))
	run, err := r.Run(ctx, "etl", "a")
	must(err)
	show(run)
	// Output:
	// true
	// a success
}

// Short runs end together, with one commit. One that was queued again meanwhile does not keep
// the other from it.
func ExampleRepo_FinishAll() {
	r, done := open()
	defer done()
	queue(r, "a", "b")
	runs, err := r.Admit(ctx)
	must(err)
	_, err = r.Clear(ctx, runs[0])
	must(err)

	err = r.FinishAll(ctx, runs, models.Success)
	fmt.Println(errors.Is(err, repo.ErrAttempt))
	all, err := r.Runs(ctx, repo.RunQuery{})
	must(err)
	show(all...)
	// Output:
	// true
	// a queued
	// b success
}

// A person says how a run ended. To running it goes through its gate, as any other does.
func ExampleRepo_SetState() {
	r, done := open()
	defer done()
	queue(r, "a", "b", "c")
	_, err := r.Admit(ctx)
	must(err)
	c, err := r.Run(ctx, "etl", "c")
	must(err)

	_, err = r.SetState(ctx, c, models.Running)
	fmt.Println(errors.Is(err, repo.ErrFull))
	c, err = r.SetState(ctx, c, models.Failed)
	must(err)
	show(c)
	// Output:
	// true
	// c failed
}

// A run is executed again. What its first attempt comes to no longer counts.
func ExampleRepo_Clear() {
	r, done := open()
	defer done()
	queue(r, "a")
	runs, err := r.Admit(ctx)
	must(err)

	again, err := r.Clear(ctx, runs[0])
	must(err)
	show(again)
	err = r.Finish(ctx, runs[0], models.Success)
	fmt.Println(errors.Is(err, repo.ErrAttempt))
	// Output:
	// a queued
	// true
}

// All that failed is queued again; what went well is left alone.
func ExampleRepo_ClearRuns() {
	r, done := open()
	defer done()
	queue(r, "a", "b")
	runs, err := r.Admit(ctx)
	must(err)
	must(r.Finish(ctx, runs[0], models.Failed))
	must(r.Finish(ctx, runs[1], models.Success))

	cleared, err := r.ClearRuns(ctx, repo.ClearQuery{DagID: "etl", States: []models.State{models.Failed}})
	must(err)
	show(cleared...)
	// Output: a queued
}

// Who cannot bring a run to its end, since its machine shuts down, say, leaves it to another.
func ExampleRepo_GiveBack() {
	r, done := open()
	defer done()
	queue(r, "a")
	runs, err := r.Admit(ctx)
	must(err)

	given, err := r.GiveBack(ctx, runs[0])
	must(err)
	show(given)
	runs, err = r.Admit(ctx)
	must(err)
	show(runs...)
	// Output:
	// a queued
	// a running
}
