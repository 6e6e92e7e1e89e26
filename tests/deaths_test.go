package tests

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// survived is what a process says that dies when its pass has returned.
const survived = "the pass is over"

// die makes a pass in the name of a scheduler, and kills this process after so many statements
// of it, or when it has returned: after COMMIT, and before anything was done with the runs.
func die(ctx context.Context, db *gorm.DB, job work) error {
	if _, err := locking.Server(ctx, db); err != nil { // which asks questions of its own
		return err
	}
	count := 0
	after := func(*gorm.DB) {
		if count++; count == job.After {
			kill()
		}
	}
	c := db.Callback()
	for _, err := range []error{
		c.Query().After("*").Register("test:die", after), c.Row().After("*").Register("test:die", after),
		c.Raw().After("*").Register("test:die", after), c.Update().After("*").Register("test:die", after),
	} {
		if err != nil {
			return err
		}
	}
	r, err := repo.New(db, repo.WithJob(job.Job))
	if err != nil {
		return err
	}
	runs, err := r.Admit(ctx)
	if err != nil || len(runs) == 0 {
		return fmt.Errorf("the pass has started %d runs: %w", len(runs), err)
	}
	fmt.Fprintln(os.Stderr, survived)
	kill()
	return nil
}

// kill ends this process as the kernel would when memory runs out.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// orphaned is the id of a scheduler that was killed after so many statements of a pass over a
// DAG's gate with limit 2 and a backfill's with limit 3, and whether the pass was over.
func (w *world) orphaned(after int) (job int64, over bool) {
	require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
	w.dag("d", 2)
	w.queue("d", 5, past, time.Minute)
	w.backfill("d", 3, 5)
	_, row := w.registered()
	p := w.spawn(work{Dies: true, After: after, Job: row.ID}, exercise.NewTally())
	p.killed(w)
	return row.ID, strings.Contains(p.errors.String(), survived)
}

// left asserts that each run is queued, or running in the name of the dead scheduler.
func (w *world) left(job int64, over bool) {
	var runs []models.DagRun
	require.NoError(w, w.db.Find(&runs).Error)
	require.Len(w, runs, 10)
	running := 0
	for _, run := range runs {
		if run.State == models.Running {
			running++
			require.Equal(w, job, *run.ScheduledByJobID)
			continue
		}
		require.Equal(w, models.Queued, run.State)
	}
	require.Equal(w, map[bool]int{true: 5, false: 0}[over], running)
}

// executes is a scheduler that executes runs that it has found, and then all that are queued.
// In the end each run has succeeded, each attempt was handled once, and no limit was exceeded.
func (w *world) executes(r *repo.Repo, found []models.DagRun) {
	tally := exercise.NewTally()
	for len(found) > 0 || w.total(models.Queued) > 0 {
		for _, run := range found {
			require.NoError(w, tally.Up(run))
		}
		for _, run := range found {
			require.NoError(w, tally.Down(run))
			require.NoError(w, r.Finish(w.ctx, run, models.Success))
		}
		var err error
		found, err = r.Admit(w.ctx) // none, as long as the server believes the dead client alive
		require.NoError(w, err)
	}
	require.Empty(w, tally.Twice())
	w.running(map[repo.Gate]int{dagGate("d"): 0})
	require.Equal(w, 10, w.total(models.Success))
	var all []models.DagRun
	require.NoError(w, w.db.Find(&all).Error)
	gates := map[repo.Gate]int{}
	for _, run := range all {
		gates[repo.GateOf(run)]++
	}
	require.Len(w, gates, 2)
	for g, n := range gates {
		require.Len(w, tally.Started(g), n, "each run was handled once")
		require.LessOrEqual(w, tally.Peak(g), map[repo.Kind]int{repo.DagGate: 2, repo.BackfillGate: 3}[g.Kind])
	}
}

// byOwner is the scheduler itself, restarted.
func (w *world) byOwner(job int64, over bool) {
	w.left(job, over)
	r := w.repo(repo.WithJob(job))
	mine, err := r.Mine(w.ctx)
	require.NoError(w, err)
	require.Len(w, mine, map[bool]int{true: 5, false: 0}[over])
	w.executes(r, mine)
}

// byAnother is another scheduler, after a while.
func (w *world) byAnother(job int64, over bool) {
	w.left(job, over)
	r := w.inAnHour()
	if over {
		w.admitted(r, 0) // the slots are taken
	}
	recovered, err := r.Recover(w.ctx, silence, models.Queued)
	require.NoError(w, err)
	require.Len(w, recovered, map[bool]int{true: 5, false: 0}[over])
	require.Zero(w, w.total(models.Running), "no slot stays taken")
	for _, run := range recovered {
		require.Equal(w, 1, run.ClearNumber)
	}
	w.executes(r, nil)
}

var deaths = []testCase{
	{"a scheduler is killed after each statement of a pass, and after COMMIT", func(w *world) {
		after, over := 0, false
		for !over {
			var job int64
			after++
			job, over = w.orphaned(after)
			if after%2 == 0 {
				w.byOwner(job, over)
			} else {
				w.byAnother(job, over)
			}
		}
		require.Greater(w, after, 8, "a pass has several statements")
		job, over := w.orphaned(after + 1) // a pass has one more when it begins among the gates
		require.True(w, over)
		if after%2 == 0 {
			w.byAnother(job, over)
		} else {
			w.byOwner(job, over)
		}
	}},
}
