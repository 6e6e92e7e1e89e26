package repo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// loop is a scheduler of one's own: it executes run after run until ctx ends, or until others
// take it for dead.
func loop(ctx context.Context, r *repo.Repo, execute func(models.DagRun) models.State) error {
	if _, err := r.Register(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go keep(ctx, stop, r)
	admit := func(ctx context.Context) ([]models.DagRun, error) { return r.AdmitAtMost(ctx, 1) }
	next := admit
	for ctx.Err() == nil {
		runs, err := next(ctx)
		switch {
		case err == nil:
			next = admit
		case errors.Is(err, locking.ErrCommitUnknown):
			next = r.Mine // what it was not told of, since it has nothing in hand
		case !r.Transient(err) && ctx.Err() == nil:
			return err
		}
		for _, run := range runs {
			if err := finish(ctx, r, run, execute(run)); err != nil {
				return err
			}
		}
		if len(runs) == 0 {
			pause(ctx, time.Second)
		}
	}
	if err := context.Cause(ctx); errors.Is(err, repo.ErrDead) {
		return err
	}
	return r.Leave(context.WithoutCancel(ctx))
}

// keep beats, and takes over the runs of those that do not.
func keep(ctx context.Context, stop context.CancelCauseFunc, r *repo.Repo) {
	for ctx.Err() == nil {
		if err := r.Beat(ctx); errors.Is(err, repo.ErrDead) {
			stop(err)
		}
		_, _ = r.Recover(ctx, 30*time.Second, models.Queued) // if not now, then soon, by this one or others
		pause(ctx, 5*time.Second)
	}
}

// finish records how a run ended, also when ctx has ended meanwhile. What others have made of the
// run is left as it is.
func finish(ctx context.Context, r *repo.Repo, run models.DagRun, state models.State) error {
	for {
		err := r.Finish(context.WithoutCancel(ctx), run, state)
		switch {
		case errors.Is(err, repo.ErrAttempt), errors.Is(err, repo.ErrState), errors.Is(err, repo.ErrRunNotFound):
			return nil
		case err == nil, !r.Transient(err), ctx.Err() != nil:
			return err
		}
		pause(ctx, time.Second)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// What package runner does, in short, with one run at a time.
func Example_loop() {
	r, done := open()
	defer done()
	queue(r, "a", "b")
	work, stop := context.WithCancel(ctx)

	err := loop(work, r, func(run models.DagRun) models.State {
		fmt.Println("executing", run.RunID)
		if run.RunID == "b" {
			stop()
		}
		return models.Success
	})
	fmt.Println("ended:", err)
	jobs, err := r.Jobs(ctx, true)
	must(err)
	fmt.Println(jobs[0].State, jobs[0].Running)
	// Output:
	// executing a
	// executing b
	// ended: <nil>
	// success 0
}
