package tests

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

const silence = 30 * time.Second

// inAnHour is a scheduler whose clock is an hour ahead: whoever beats no more is long silent.
func (w *world) inAnHour() *repo.Repo {
	return w.repo(repo.WithClock(inAnHourClock))
}

func inAnHourClock() time.Time { return time.Now().Add(time.Hour) }

// registered is another scheduler, and its row.
func (w *world) registered(options ...repo.Option) (*repo.Repo, models.Job) {
	r := w.repo(options...)
	job, err := r.Register(w.ctx)
	require.NoError(w, err)
	return r, job
}

// admitted are the runs that a scheduler admits in one pass.
func (w *world) admitted(r *repo.Repo, n int) []models.DagRun {
	w.Helper()
	runs, err := r.Admit(w.ctx)
	require.NoError(w, err)
	require.Len(w, runs, n)
	return runs
}

// recovers asserts which runs a scheduler recovers to a state.
func (w *world) recovers(r *repo.Repo, to models.State, want ...models.DagRun) {
	w.Helper()
	got, err := r.Recover(w.ctx, silence, to)
	require.NoError(w, err)
	require.ElementsMatch(w, ids(want), ids(got))
	for _, run := range got {
		require.Equal(w, to, run.State)
		require.Equal(w, w.run(run.ID), run, "what is returned is what is stored")
	}
}

// twoSilent are a scheduler with two runs, and two runs of another, both of which fall silent.
func (w *world) twoSilent() (first models.Job, its, others []models.DagRun) {
	w.dag("d", 2)
	w.queue("d", 2, past, time.Minute)
	r, first := w.registered()
	its = w.admitted(r, 2)
	w.dag("d", 4)
	w.queue("d", 2, past.AddDate(1, 0, 0), time.Minute)
	other, _ := w.registered()
	return first, its, w.admitted(other, 2)
}

// beside asserts that while a row is held these runs are recovered, and the others after that.
// Where one transaction writes at a time, all are at once when nobody holds anything.
func (w *world) beside(rows locking.Rows, key int64, first, then []models.DagRun) {
	other := w.inAnHour()
	if !w.d.RowLocks {
		w.recovers(other, models.Queued, append(first, then...)...)
		return
	}
	holdingRows(w, rows, key, func() {
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second) // against waiting for the row
		defer cancel()
		runs, err := other.Recover(ctx, silence, models.Queued)
		assert.NoError(w, err)
		assert.ElementsMatch(w, ids(first), ids(runs))
	})
	w.recovers(other, models.Queued, then...)
}

func ids(runs []models.DagRun) []int64 {
	all := make([]int64, len(runs))
	for i, run := range runs {
		all[i] = run.ID
	}
	return all
}

func (w *world) job(id int64) (job models.Job) {
	require.NoError(w, w.db.Take(&job, id).Error)
	return job
}

var jobs = []testCase{
	{"a scheduler registers, beats and leaves", func(w *world) {
		now := past
		r, job := w.registered(repo.WithClock(func() time.Time { return now }))
		require.Equal(w, job, w.job(job.ID))
		require.Equal(w, []any{models.Running, "UsherScheduler", models.At(past), models.At(past), true}, []any{job.State, job.JobType, job.StartDate, job.LatestHeartbeat, job.EndDate.IsZero()})
		require.NotEmpty(w, job.Hostname)
		require.NotEmpty(w, job.Unixname)
		require.NoError(w, r.Beat(w.ctx), "a clock that stands still changes nothing, which is no death")
		now = past.Add(time.Minute)
		require.NoError(w, r.Beat(w.ctx))
		require.Equal(w, models.At(now), w.job(job.ID).LatestHeartbeat)
		require.NoError(w, r.Leave(w.ctx))
		left := w.job(job.ID)
		require.Equal(w, []any{models.Success, models.At(now)}, []any{left.State, left.EndDate})
		require.ErrorIs(w, r.Beat(w.ctx), repo.ErrDead)
		require.Equal(w, left, w.job(job.ID))

		for _, do := range []func(context.Context) error{w.r.Beat, w.r.Leave, func(ctx context.Context) error { _, err := w.r.Mine(ctx); return err }} {
			require.ErrorIs(w, do(w.ctx), repo.ErrInvalid, "it is no scheduler")
		}
		_, err := w.r.Recover(w.ctx, silence, models.Success)
		require.ErrorIs(w, err, repo.ErrInvalid)
		_, err = w.r.Recover(w.ctx, 0, models.Queued)
		require.ErrorIs(w, err, repo.ErrInvalid)
	}},
	{"heartbeats come from the database's clock", func(w *world) {
		r, job := w.registered()
		require.NoError(w, r.Beat(w.ctx))
		found := w.job(job.ID)
		require.WithinRange(w, found.StartDate.Time, time.Now().Add(-time.Minute), time.Now().Add(time.Minute))
		require.False(w, found.LatestHeartbeat.Before(found.StartDate.Time))
		w.recovers(w.repo(), models.Queued)
		require.NoError(w, r.Beat(w.ctx), "it was not silent")
	}},
	{"a scheduler is told what runs in its name, also after a restart", func(w *world) {
		w.dag("d", 3)
		w.queue("d", 6, past, time.Minute)
		r, job := w.registered()
		runs := w.admitted(r, 3)
		require.NoError(w, r.Finish(w.ctx, runs[0], models.Success))
		other, _ := w.registered()
		w.admitted(other, 1)
		for _, r := range []*repo.Repo{r, w.repo(repo.WithJob(job.ID))} {
			mine, err := r.Mine(w.ctx)
			require.NoError(w, err)
			require.Equal(w, runs[1:], mine)
			require.NoError(w, r.Beat(w.ctx))
		}
		_, err := r.Register(w.ctx)
		require.NoError(w, err)
		mine, err := r.Mine(w.ctx)
		require.NoError(w, err)
		require.Empty(w, mine, "a new identity has none of the runs of the old one")
	}},
	{"the runs of a dead scheduler are queued again as the next attempt", func(w *world) {
		w.dag("d", 3)
		w.queue("d", 3, past, time.Minute)
		b := w.backfill("d", 2, 2)
		r, job := w.registered()
		runs := w.admitted(r, 5)
		other := w.inAnHour()
		require.Empty(w, w.admitted(other, 0), "the slots are taken")
		w.recovers(other, models.Queued, runs...)
		w.recovers(other, models.Queued)
		dead := w.job(job.ID)
		require.Equal(w, []any{models.Failed, false}, []any{dead.State, dead.EndDate.IsZero()})
		for _, before := range runs {
			after := w.run(before.ID)
			require.True(w, after.QueuedAt.After(before.StartDate.Time))
			want := before
			want.SetState(models.Queued, after.QueuedAt)
			want.ClearNumber, want.UpdatedAt = 1, after.QueuedAt
			require.Equal(w, want, after, "nothing else has changed")
		}
		w.running(map[repo.Gate]int{dagGate("d"): 0, b: 0})
		w.admitted(other, 5)
	}},
	{"or they are failed", func(w *world) {
		w.dag("d", 3)
		w.queue("d", 3, past, time.Minute)
		r, _ := w.registered()
		runs := w.admitted(r, 3)
		w.recovers(w.inAnHour(), models.Failed, runs...)
		run := w.run(runs[0].ID)
		require.Equal(w, []any{0, false, false}, []any{run.ClearNumber, run.StartDate.IsZero(), run.EndDate.IsZero()})
		require.False(w, run.EndDate.Before(run.StartDate.Time))
		require.ErrorIs(w, r.Finish(w.ctx, runs[0], models.Success), repo.ErrState)
		require.Equal(w, run, w.run(run.ID))
	}},
	{"a scheduler that was only slow is fenced", func(w *world) {
		w.dag("d", 2)
		w.queue("d", 4, past, time.Minute)
		slow, job := w.registered()
		runs := w.admitted(slow, 2)
		other := w.inAnHour()
		w.recovers(other, models.Queued, runs...)
		require.ErrorIs(w, slow.Beat(w.ctx), repo.ErrDead)
		require.ErrorIs(w, slow.Leave(w.ctx), repo.ErrDead)
		for _, run := range runs {
			before := w.run(run.ID)
			require.ErrorIs(w, slow.Finish(w.ctx, run, models.Success), repo.ErrAttempt)
			require.Equal(w, before, w.run(run.ID), "it changes nothing")
		}
		late := w.admitted(slow, 2)
		w.recovers(other, models.Queued, late...)
		again, err := slow.Register(w.ctx)
		require.NoError(w, err)
		require.NotEqual(w, job.ID, again.ID)
		require.NoError(w, slow.Beat(w.ctx))
		for _, run := range w.admitted(slow, 2) {
			require.Equal(w, again.ID, *run.ScheduledByJobID)
		}
	}},
	{"a pass that a slow scheduler was in the middle of is recovered", func(w *world) {
		w.dag("d", 2)
		w.queue("d", 4, past, time.Minute)
		_, job := w.registered()
		other := w.inAnHour()
		slow := w.interrupted(1, func() { w.recovers(other, models.Queued) }, new(int), repo.WithJob(job.ID))
		runs := w.admitted(slow, 2)
		w.recovers(other, models.Queued, runs...)
	}},
	{"a scheduler that beats while it is looked for is spared", func(w *world) {
		w.dag("d", 2)
		w.queue("d", 2, past, time.Minute)
		for before := 1; before <= 3; before++ { // the clock, the search, and the burial
			slow, job := w.registered()
			w.age(job.ID)
			w.admitted(slow, map[int]int{1: 2}[before])
			w.recovers(w.interrupted(before, func() { require.NoError(w, slow.Beat(w.ctx)) }, new(int)), models.Queued)
			require.Equal(w, models.Running, w.job(job.ID).State, "before statement %d", before)
			require.NoError(w, slow.Beat(w.ctx))
		}
	}},
	{"a scheduler that is stopped in its heartbeat does not hold up the recovery of others", func(w *world) {
		stopped, its, others := w.twoSilent()
		w.beside(locking.Rows{Model: &models.Job{}}, stopped.ID, others, its)
	}},
	{"a scheduler that is stopped while it finishes a run does not hold up the recovery of others", func(w *world) {
		_, its, others := w.twoSilent()
		w.beside(locking.Rows{Model: &models.DagRun{}}, its[0].ID, append(others, its[1]), its[:1])
	}},
	{"recovery leaves alone what is not for it", func(w *world) {
		w.dag("d", 16)
		queued := w.queue("d", 8, past, time.Minute)
		airflow := models.Job{JobType: "SchedulerJob", State: models.Running, LatestHeartbeat: models.At(past)}
		failed := models.Job{JobType: "SchedulerJob", State: models.Failed, LatestHeartbeat: models.At(past)}
		require.NoError(w, w.db.Create(&airflow).Error)
		require.NoError(w, w.db.Create(&failed).Error)
		other := w.inAnHour()
		alive, err := other.Register(w.ctx)
		require.NoError(w, err)
		left, leaving := w.registered()
		nobody := int64(1 << 40)
		for i, owner := range []*int64{nil, &airflow.ID, &failed.ID, &alive.ID, &nobody, &leaving.ID, &leaving.ID, &leaving.ID} {
			state := []models.State{models.Running, models.Success, models.Queued}[max(0, i-5)]
			require.NoError(w, w.db.Model(&queued[i]).UpdateColumns(map[string]any{"state": state, "scheduled_by_job_id": owner}).Error)
		}
		require.NoError(w, left.Leave(w.ctx))
		w.recovers(other, models.Queued, queued[5])
		require.Equal(w, models.Running, w.job(airflow.ID).State)
		for i, state := range []models.State{models.Running, models.Running, models.Running, models.Running, models.Running, models.Queued, models.Success, models.Queued} {
			require.Equal(w, state, w.run(queued[i].ID).State, "run %d", i)
		}
	}},
	{"one recovery takes all runs, in batches", func(w *world) {
		w.dag("d", 5000)
		w.queue("d", 1001, past, time.Minute)
		r, _ := w.registered(repo.WithRunsPerPass(1001))
		w.recovers(w.inAnHour(), models.Queued, w.admitted(r, 1001)...)
	}},
	{"of recoverers at once, one recovers each run", func(w *world) {
		w.dag("d", 5000)
		const n = 1200 // several batches
		w.queue("d", n, past, time.Minute)
		for range 3 {
			r, _ := w.registered(repo.WithRunsPerPass(n / 3))
			w.admitted(r, n/3)
		}
		recovered := make([][]models.DagRun, schedulers)
		failures := make([]error, schedulers)
		var all sync.WaitGroup
		for i := range schedulers {
			all.Go(func() {
				r := w.inAnHour()
				for {
					runs, err := r.Recover(w.ctx, silence, models.Queued)
					recovered[i] = append(recovered[i], runs...)
					if !errors.Is(err, locking.ErrContention) {
						failures[i] = err
						return
					}
				}
			})
		}
		all.Wait()
		require.NoError(w, errors.Join(failures...))
		once := map[int64]int{}
		for _, run := range slices.Concat(recovered...) {
			once[run.ID]++
			require.Equal(w, 1, run.ClearNumber)
		}
		require.Len(w, once, n)
		require.Equal(w, 1, slices.Max(slices.Collect(maps.Values(once))), "each once")
		w.running(map[repo.Gate]int{dagGate("d"): 0})
	}},
	{"a run that is set running runs in the name of who did it", func(w *world) {
		w.dag("d", 2)
		run := w.queue("d", 1, past, 0)[0]
		r, _ := w.registered()
		runs := w.admitted(r, 1)
		require.NoError(w, r.Finish(w.ctx, runs[0], models.Failed))
		other, job := w.registered()
		changed, err := other.SetState(w.ctx, run, models.Running)
		require.NoError(w, err)
		require.Equal(w, job.ID, *changed.ScheduledByJobID)
		require.Equal(w, changed, w.run(run.ID))
		require.NoError(w, w.r.Finish(w.ctx, changed, models.Failed))
		changed, err = w.r.SetState(w.ctx, run, models.Running)
		require.NoError(w, err)
		require.Nil(w, changed.ScheduledByJobID)
		w.recovers(w.inAnHour(), models.Queued)
	}},
	{"a pass starts no more runs than it is asked for", func(w *world) {
		for _, id := range []string{"a", "b", "c"} {
			w.dag(id, 10)
			w.queue(id, 40, past, time.Minute)
			w.backfill(id, 10, 40)
		}
		started := map[repo.Gate]int{}
		for _, n := range []int{1, 2, 5, 20, 1000} {
			runs, err := w.r.AdmitAtMost(w.ctx, n)
			require.NoError(w, err)
			require.Len(w, runs, min(n, 20), "20 is the bound of the repository itself")
			for _, run := range runs {
				require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
			}
		}
		for _, id := range []string{"a", "b", "c"} {
			w.queue(id, 30, past.AddDate(1, 0, 0), time.Minute)
		}
		for range 60 {
			runs, err := w.r.AdmitAtMost(w.ctx, 1)
			require.NoError(w, err)
			require.Len(w, runs, 1)
			started[repo.GateOf(runs[0])]++
			require.NoError(w, w.r.Finish(w.ctx, runs[0], models.Success))
		}
		for _, id := range []string{"a", "b", "c"} {
			require.Positive(w, started[dagGate(id)], "one at a time starves no gate: %v", started)
		}
		_, err := w.r.AdmitAtMost(w.ctx, 0)
		require.ErrorIs(w, err, repo.ErrInvalid)
	}},
	{"schedulers are listed with the runs that they have in hand", func(w *world) {
		w.dag("d", 3)
		w.queue("d", 3, past, time.Minute)
		gone, first := w.registered()
		require.NoError(w, gone.Leave(w.ctx))
		left, second := w.registered()
		_, err := left.AdmitAtMost(w.ctx, 1)
		require.NoError(w, err)
		require.NoError(w, left.Leave(w.ctx))
		r, third := w.registered()
		w.admitted(r, 2)
		require.NoError(w, w.db.Create(&models.Job{JobType: "SchedulerJob", State: models.Running}).Error)
		listed := func(all bool) (found []int64) {
			jobs, err := w.r.Jobs(w.ctx, all)
			require.NoError(w, err)
			for _, job := range jobs {
				found = append(found, job.ID, int64(job.Running))
				require.Equal(w, w.job(job.ID), job.Job)
			}
			return found
		}
		require.Equal(w, []int64{second.ID, 1, third.ID, 2}, listed(false))
		require.Equal(w, []int64{first.ID, 0, second.ID, 1, third.ID, 2}, listed(true))
	}},
}
