package repo_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// A scheduler is known by its job, and so are the runs that it has admitted.
func ExampleRepo_Register() {
	r, done := open()
	defer done()
	queue(r, "a")

	job, err := r.Register(ctx)
	must(err)
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println(job.State, *runs[0].ScheduledByJobID == job.ID)
	// Output: running true
}

// A scheduler that was silent for too long learns that it was taken for dead.
func ExampleRepo_Beat() {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	r, done := open(repo.WithClock(func() time.Time { return now }))
	defer done()
	_, err := r.Register(ctx)
	must(err)

	now = now.Add(5 * time.Second)
	fmt.Println(r.Beat(ctx))
	now = now.Add(time.Hour)
	_, err = r.Recover(ctx, 30*time.Second, models.Queued) // by another scheduler, for the most part
	must(err)
	fmt.Println(errors.Is(r.Beat(ctx), repo.ErrDead))
	// Output:
	// <nil>
	// true
}

// A scheduler ends in order: it has nothing in hand, and nobody takes it for dead.
func ExampleRepo_Leave() {
	r, done := open()
	defer done()
	_, err := r.Register(ctx)
	must(err)

	must(r.Leave(ctx))
	jobs, err := r.Jobs(ctx, true)
	must(err)
	fmt.Println(jobs[0].State, jobs[0].Running)
	// Output: success 0
}

// One scheduler takes over what another one, which died, had in hand.
func ExampleRepo_Recover() {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := repo.WithClock(func() time.Time { return now })
	db, done := database()
	defer done()
	dead, alive := over(db, clock), over(db, clock)
	queue(dead, "a")
	_, err := dead.Register(ctx)
	must(err)
	lost, err := dead.Admit(ctx)
	must(err)
	now = now.Add(time.Minute)

	recovered, err := alive.Recover(ctx, 30*time.Second, models.Queued)
	must(err)
	show(recovered...)
	runs, err := alive.Admit(ctx)
	must(err)
	show(runs...)
	err = dead.Finish(ctx, lost[0], models.Success) // it was only slow, after all
	fmt.Println(errors.Is(err, repo.ErrAttempt))
	// Output:
	// a queued
	// a running
	// true
}

// A program that was restarted goes on as the scheduler that it was, with the runs that it had.
func ExampleRepo_Mine() {
	db, done := database()
	defer done()
	before := over(db)
	queue(before, "a", "b")
	job, err := before.Register(ctx)
	must(err)
	_, err = before.Admit(ctx)
	must(err)

	after := over(db, repo.WithJob(job.ID))
	runs, err := after.Mine(ctx)
	must(err)
	show(runs...)
	// Output:
	// a running
	// b running
}

// Who is at work, and on how much.
func ExampleRepo_Jobs() {
	r, done := open()
	defer done()
	queue(r, "a", "b")
	_, err := r.Register(ctx)
	must(err)
	_, err = r.Admit(ctx)
	must(err)

	jobs, err := r.Jobs(ctx, false)
	must(err)
	for _, job := range jobs {
		fmt.Println(job.ID, job.State, job.Running)
	}
	// Output: 1 running 2
}
