package tests

import (
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// interrupted is a scheduler that does something else just before the n-th statement of its
// transaction, the first time. The number of statements comes out in count.
func (w *world) interrupted(n int, do func(), count *int, options ...repo.Option) *repo.Repo {
	return w.interruptedOn(w.d.Open(w), n, do, count, options...)
}

// interruptedOn is interrupted over another database handle.
func (w *world) interruptedOn(db *gorm.DB, n int, do func(), count *int, options ...repo.Option) *repo.Repo {
	require.NoError(w, beforeEach(db, func(*gorm.DB) {
		if *count++; *count == n {
			do()
		}
	}))
	r, err := repo.New(db, options...)
	require.NoError(w, err)
	return r
}

// beforeEach does something before each statement of transactions.
func beforeEach(db *gorm.DB, do func(tx *gorm.DB)) error {
	before := func(tx *gorm.DB) {
		if _, ok := tx.Statement.ConnPool.(gorm.TxCommitter); ok {
			do(tx)
		}
	}
	c := db.Callback()
	return errors.Join(
		c.Query().Before("*").Register("test:between", before),
		c.Row().Before("*").Register("test:between", before),
		c.Raw().Before("*").Register("test:between", before),
		c.Update().Before("*").Register("test:between", before),
		c.Create().Before("*").Register("test:between", before),
	)
}

// inTheMiddle lets something happen in the middle of a pass, at every point of it in turn: at
// a DAG's gate with limit 2 and a backfill's with limit 3. Where there is one writer, the only
// point is before the pass has become it.
func inTheMiddle(happens func(w *world, runs []models.DagRun, at int)) func(*world) {
	return func(w *world) {
		statements := 1
		for at := 0; at <= statements; at++ { // 0 is a pass in peace
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
			w.dag("d", 2)
			runs := w.queue("d", 6, past, time.Minute)
			b := w.backfill("d", 3, 6)
			count, happened := 0, false
			r := w.interrupted(at, func() { happened = true; happens(w, runs, at) }, &count)
			_, err := r.Admit(w.ctx)
			require.NoError(w, err)
			require.Equal(w, at > 0, happened)
			if at == 0 && w.d.RowLocks {
				statements = count
			}
			require.LessOrEqual(w, w.count(dagGate("d"), models.Running), 2, "before statement %d", at)
			require.LessOrEqual(w, w.count(b, models.Running), 3, "before statement %d", at)
			w.passes(2)
			w.running(map[repo.Gate]int{dagGate("d"): 2, b: 3})
		}
	}
}

var between = []testCase{
	{"a pass in the middle of a pass", inTheMiddle(func(w *world, _ []models.DagRun, _ int) {
		_, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
	})},
	{"many passes and finishes in the middle of a pass", inTheMiddle(func(w *world, _ []models.DagRun, at int) {
		for range 3 {
			runs, err := w.r.Admit(w.ctx)
			require.NoError(w, err)
			for _, run := range runs[:len(runs)/2] {
				require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
			}
		}
	})},
	{"a queued run is failed in the middle of a pass", func(w *world) {
		marks := 0 // how many statements there are, the last of which is the change of state
		w.dag("x", 1)
		w.queue("x", 1, past, 0)
		r := w.interrupted(0, nil, &marks)
		runs, err := r.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 1)
		if !w.d.RowLocks {
			marks = 1
		}
		for at := 1; at <= marks; at++ {
			id := fmt.Sprintf("d%d", at)
			w.dag(id, 1)
			first := w.queue(id, 2, past, time.Minute)
			count := 0
			r := w.interrupted(at, func() { require.NoError(w, w.r.Finish(w.ctx, first[0], models.Failed)) }, &count)
			started, err := r.Admit(w.ctx)
			require.NoError(w, err)
			require.Len(w, started, 1)
			require.Equal(w, w.run(first[1].ID), started[0], "what is handed out is what runs")
			require.Equal(w, models.Failed, w.run(first[0].ID).State, "before statement %d", at)
			w.passes(2)
			w.running(map[repo.Gate]int{dagGate(id): 1})
			require.Equal(w, models.Running, w.run(first[1].ID).State)
		}
	}},
	{"a run ends in the middle of a pass: what starts in its place starts no earlier", func(w *world) {
		statements := 1
		for at := 1; at <= statements; at++ {
			id := fmt.Sprintf("d%d", at)
			w.dag(id, 2)
			w.queue(id, 3, past, time.Minute)
			first, err := w.r.AdmitAtMost(w.ctx, 1)
			require.NoError(w, err)
			require.Len(w, first, 1)
			count := 0
			runs, err := w.interrupted(at, func() { require.NoError(w, w.r.Finish(w.ctx, first[0], models.Success)) }, &count).Admit(w.ctx)
			require.NoError(w, err)
			require.NotEmpty(w, runs)
			require.NoError(w, w.r.FinishAll(w.ctx, runs, models.Success))
			require.Empty(w, w.audit(id), "before statement %d", at)
			if w.d.RowLocks {
				statements = count
			}
			w.set(id, repo.Paused(true))
		}
	}},
	{"a run is failed and queued again in the middle of a pass: it starts in its new attempt", func(w *world) {
		before := 4 // the hold, the capacity and the queue come before it
		if !w.d.RowLocks {
			before = 1
		}
		w.dag("d", 1)
		run := w.queue("d", 1, past, 0)[0]
		count := 0
		r := w.interrupted(before, func() {
			require.NoError(w, w.r.Finish(w.ctx, run, models.Failed))
			_, err := w.r.Clear(w.ctx, run)
			require.NoError(w, err)
		}, &count)
		runs, err := r.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 1)
		require.Equal(w, run.ClearNumber+1, runs[0].ClearNumber)
		require.NoError(w, w.r.Finish(w.ctx, runs[0], models.Success))
	}},
}
