package repo_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Three days are made up for, one at a time, whatever else the DAG runs.
func ExampleRepo_CreateBackfill() {
	r, done := open()
	defer done()

	backfill, dates, err := r.CreateBackfill(ctx, repo.BackfillRequest{
		DagID: "etl", Schedule: repo.Dates(day(1), day(2), day(3)), MaxActiveRuns: 1,
	})
	must(err)
	fmt.Println(backfill.MaxActiveRuns, len(dates))
	for runs, err := range r.AdmitAll(ctx) {
		must(err)
		show(runs...)
		must(r.FinishAll(ctx, runs, models.Success))
	}
	// Output:
	// 1 3
	// backfill__2024-01-01T00:00:00+00:00 running
	// backfill__2024-01-02T00:00:00+00:00 running
	// backfill__2024-01-03T00:00:00+00:00 running
}

// A date that has a run already is left out, unless it is to be reprocessed.
func ExampleRepo_DryRunBackfill() {
	r, done := open()
	defer done()
	runs, err := r.Enqueue(ctx, models.DagRun{DagID: "etl", RunID: "by hand", LogicalDate: models.At(day(2))})
	must(err)
	_, err = r.SetState(ctx, runs[0], models.Success)
	must(err)

	dates, err := r.DryRunBackfill(ctx, repo.BackfillRequest{DagID: "etl", Schedule: repo.Dates(day(1), day(2))})
	must(err)
	for _, date := range dates {
		fmt.Printf("%s %q\n", date.LogicalDate.Format(time.DateOnly), date.ExceptionReason)
	}
	// Output:
	// 2024-01-01 ""
	// 2024-01-02 "already exists"
}

// A backfill of dates that no cron expression has.
func ExampleDates() {
	for interval := range repo.Dates(day(31), day(1), day(31)).Intervals(day(1)) {
		fmt.Println(interval.Start.Format(time.DateOnly))
	}
	// Output:
	// 2024-01-01
	// 2024-01-31
}

func ExampleRepo_Backfill() {
	r, done := open()
	defer done()
	made := backfill(r)

	found, err := r.Backfill(ctx, made.ID)
	must(err)
	fmt.Println(found.DagID, found.FromDate.Format(time.DateOnly), found.ToDate.Format(time.DateOnly))
	_, err = r.Backfill(ctx, made.ID+1)
	fmt.Println(errors.Is(err, repo.ErrBackfillNotFound))
	// Output:
	// etl 2024-01-01 2024-01-03
	// true
}

func ExampleRepo_Backfills() {
	r, done := open()
	defer done()
	_, err := r.CancelBackfill(ctx, backfill(r).ID)
	must(err)
	backfill(r)

	active, err := r.Backfills(ctx, "etl", false)
	must(err)
	all, err := r.Backfills(ctx, "etl", true)
	must(err)
	fmt.Println(len(active), len(all))
	// Output: 1 2
}

// How far a backfill has come.
func ExampleRepo_BackfillDates() {
	r, done := open()
	defer done()
	made := backfill(r)
	_, err := r.AdmitAtMost(ctx, 1)
	must(err)

	dates, err := r.BackfillDates(ctx, made.ID)
	must(err)
	runs, err := r.Runs(ctx, repo.RunQuery{BackfillID: made.ID})
	must(err)
	states := map[int64]models.State{}
	for _, run := range runs {
		states[run.ID] = run.State
	}
	for _, date := range dates {
		fmt.Println(date.SortOrdinal, date.LogicalDate.Format(time.DateOnly), states[*date.DagRunID])
	}
	// Output:
	// 1 2024-01-01 running
	// 2 2024-01-02 queued
	// 3 2024-01-03 queued
}

// A backfill waits while the machines are needed for something else.
func ExampleRepo_PauseBackfill() {
	r, done := open()
	defer done()
	made := backfill(r)

	_, err := r.PauseBackfill(ctx, made.ID)
	must(err)
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println(len(runs))
	// Output: 0
}

func ExampleRepo_UnpauseBackfill() {
	r, done := open()
	defer done()
	made := backfill(r)
	_, err := r.PauseBackfill(ctx, made.ID)
	must(err)

	_, err = r.UnpauseBackfill(ctx, made.ID)
	must(err)
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println(len(runs))
	// Output: 3
}

// A backfill is to go on more slowly.
func ExampleRepo_LimitBackfill() {
	r, done := open()
	defer done()
	made := backfill(r)

	_, err := r.LimitBackfill(ctx, made.ID, 1)
	must(err)
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println(len(runs))
	// Output: 1
}

// The runs that wait are given up. One that runs goes on, and ends as it would have.
func ExampleRepo_CancelBackfill() {
	r, done := open()
	defer done()
	made := backfill(r)
	running, err := r.AdmitAtMost(ctx, 1)
	must(err)

	_, err = r.CancelBackfill(ctx, made.ID)
	must(err)
	must(r.FinishAll(ctx, running, models.Success))
	runs, err := r.Runs(ctx, repo.RunQuery{BackfillID: made.ID})
	must(err)
	for _, run := range runs {
		fmt.Println(run.LogicalDate.Format(time.DateOnly), run.State)
	}
	// Output:
	// 2024-01-01 success
	// 2024-01-02 failed
	// 2024-01-03 failed
}

// A scheduler looks from time to time for backfills whose last run has ended.
func ExampleRepo_CompleteBackfills() {
	r, done := open()
	defer done()
	backfill(r)
	runs, err := r.Admit(ctx)
	must(err)
	must(r.FinishAll(ctx, runs, models.Success))

	ended, err := r.CompleteBackfills(ctx)
	must(err)
	for _, b := range ended {
		fmt.Println(b.DagID, !b.CompletedAt.IsZero())
	}
	// Output: etl true
}

// What failed in a backfill is tried again, and nothing else.
func ExampleRepo_ResumeBackfill() {
	r, done := open()
	defer done()
	made := backfill(r)
	runs, err := r.Admit(ctx)
	must(err)
	must(r.FinishAll(ctx, runs[:2], models.Success))
	must(r.FinishAll(ctx, runs[2:], models.Failed))
	_, err = r.CompleteBackfills(ctx)
	must(err)

	resumed, again, err := r.ResumeBackfill(ctx, made.ID)
	must(err)
	fmt.Println(resumed.CompletedAt.IsZero())
	for _, run := range again {
		fmt.Println(run.LogicalDate.Format(time.DateOnly), run.State)
	}
	// Output:
	// true
	// 2024-01-03 queued
}

// backfill makes one of the DAG "etl", with three dates.
func backfill(r *repo.Repo) models.Backfill {
	made, _, err := r.CreateBackfill(ctx, repo.BackfillRequest{DagID: "etl", Schedule: repo.Dates(day(1), day(2), day(3))})
	must(err)
	return made
}

// day is one of January 2024.
func day(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
