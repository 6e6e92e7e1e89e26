package tests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// levels are the isolation levels at which an application may begin a transaction; where there
// is one writer there is one, and drivers refuse others.
func (w *world) levels() []sql.IsolationLevel {
	if !w.d.RowLocks {
		return []sql.IsolationLevel{sql.LevelDefault}
	}
	return []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable}
}

// refuses reports whether what takes a gate is refused at a level.
func (w *world) refuses(level sql.IsolationLevel) bool {
	return w.d.Engine == "PostgreSQL" && level != sql.LevelReadCommitted
}

// caller makes its passes in transactions of its own at a level, and counts how they end. Where
// that is refused it makes an ordinary pass.
type caller struct {
	*world
	level                  sql.IsolationLevel
	readsFirst             bool
	started, refused, lost atomic.Int32
}

func (c *caller) admit(db *gorm.DB, r *repo.Repo) admit {
	return func(ctx context.Context) (runs []models.DagRun, err error) {
		err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if c.readsFirst {
				if err := tx.Limit(1).Find(&[]note{}).Error; err != nil {
					return err
				}
			}
			in, err := r.WithTx(tx)
			if err != nil {
				return err
			}
			if runs, err = in.Admit(ctx); err != nil {
				return err
			}
			return tx.Create(&note{Text: fmt.Sprintf("%d runs", len(runs))}).Error
		}, &sql.TxOptions{Isolation: c.level})
		switch {
		case err == nil:
			c.started.Add(int32(len(runs)))
			return runs, nil
		case errors.Is(err, locking.ErrSnapshot):
			c.refused.Add(1)
			if c.refuses(c.level) {
				return r.Admit(ctx)
			}
			return nil, nil
		case r.Transient(err):
			c.lost.Add(1)
			return nil, nil
		}
		return nil, err
	}
}

// callers are 8 at once at each level, the first so many of which are of ordinary passes.
func callers(ordinary int32, readsFirst bool) func(*world) {
	return func(w *world) {
		require.NoError(w, w.db.AutoMigrate(&note{}))
		for _, level := range w.levels() {
			w.db.Where("1 = 1").Delete(&models.DagRun{})
			w.db.Where("1 = 1").Delete(&models.BackfillDagRun{})
			w.db.Where("1 = 1").Delete(&models.Backfill{})
			limits := mixedContest(w)
			tally := exercise.NewTally()
			c := &caller{world: w, level: level, readsFirst: readsFirst}
			var n atomic.Int32
			db := w.d.Open(w)
			compete(w, tally, func(r *repo.Repo) admit {
				if n.Add(1) <= ordinary {
					return r.Admit
				}
				return c.admit(db, r)
			}, db)
			contest{}.check(w, tally, limits)
			w.Logf("%s: %d started in the caller's transactions, %d refused, %d lost", level, c.started.Load(), c.refused.Load(), c.lost.Load())
			if w.refuses(level) {
				require.Zero(w, c.started.Load(), level)
				require.Positive(w, c.refused.Load(), level)
			} else {
				require.Positive(w, c.started.Load(), level)
			}
		}
	}
}

// A surprise is what others do after an application's transaction has read for the first time,
// and what becomes of a verb that it calls then.
type surprise struct {
	name   string
	others func(w *world, r *repo.Repo, b int64)
	verb   func(w *world, in *repo.Repo, b int64) error
	want   error // at READ COMMITTED; nil when nothing is to start
	gate   bool  // the verb takes a gate
}

var surprises = []surprise{
	{"the gates are filled from the front", func(w *world, r *repo.Repo, _ int64) {
		for range 4 {
			_, err := r.Admit(w.ctx)
			require.NoError(w, err)
		}
	}, startsNothing, nil, true},
	{"the gates are filled from the end", func(w *world, r *repo.Repo, b int64) {
		for _, q := range []repo.RunQuery{{DagID: "d", Limit: 6}, {BackfillID: b}} {
			runs, err := r.Runs(w.ctx, q)
			require.NoError(w, err)
			for _, run := range runs[len(runs)-2:] {
				_, err := r.SetState(w.ctx, run, models.Running)
				require.NoError(w, err)
			}
		}
	}, startsNothing, nil, true},
	{"the DAG is paused", func(w *world, r *repo.Repo, _ int64) {
		_, err := r.SetDag(w.ctx, "d", repo.Paused(true))
		require.NoError(w, err)
	}, startsNothing, nil, true},
	{"the limits are lowered", func(w *world, r *repo.Repo, b int64) {
		_, err := r.SetDag(w.ctx, "d", repo.MaxActiveRuns(0))
		require.NoError(w, err)
		_, err = r.LimitBackfill(w.ctx, b, 0)
		require.NoError(w, err)
	}, startsNothing, nil, true},
	{"the gate is filled before a run is set running", func(w *world, r *repo.Repo, _ int64) {
		_, err := r.Admit(w.ctx)
		require.NoError(w, err)
	}, func(w *world, in *repo.Repo, _ int64) error {
		runs, err := in.Runs(w.ctx, repo.RunQuery{DagID: "d", Limit: 6})
		require.NoError(w, err)
		_, err = in.SetState(w.ctx, runs[5], models.Running)
		return err
	}, repo.ErrFull, true},
	{"a backfill is made of the DAG", func(w *world, r *repo.Repo, _ int64) {
		q := daily(w, 1, 3)
		q.DagID = "e"
		_, _, err := r.CreateBackfill(w.ctx, q)
		require.NoError(w, err)
	}, func(w *world, in *repo.Repo, _ int64) error {
		q := daily(w, 4, 6)
		q.DagID = "e"
		_, _, err := in.CreateBackfill(w.ctx, q)
		return err
	}, repo.ErrBackfillActive, true},
	{"the backfill is cancelled", func(w *world, r *repo.Repo, b int64) {
		_, err := r.CancelBackfill(w.ctx, b)
		require.NoError(w, err)
	}, func(w *world, in *repo.Repo, b int64) error {
		_, err := in.PauseBackfill(w.ctx, b)
		return err
	}, repo.ErrCompleted, true},
	{"a run is finished", func(w *world, r *repo.Repo, _ int64) {
		run, err := r.Run(w.ctx, "d", firstOfD)
		require.NoError(w, err)
		require.NoError(w, r.Finish(w.ctx, run, models.Success))
	}, finishFirst, repo.ErrState, false},
	{"a run is queued again", func(w *world, r *repo.Repo, _ int64) {
		run, err := r.Run(w.ctx, "d", firstOfD)
		require.NoError(w, err)
		require.NoError(w, r.Finish(w.ctx, run, models.Success))
		_, err = r.Clear(w.ctx, run)
		require.NoError(w, err)
	}, finishFirst, repo.ErrAttempt, false},
}

const firstOfD = "d_2016-01-01T00:00:00Z_0"

// finishFirst ends the first attempt of the first run.
func finishFirst(w *world, in *repo.Repo, _ int64) error {
	var run models.DagRun
	require.NoError(w, w.db.Where("run_id = ?", firstOfD).Take(&run).Error)
	run.ClearNumber = 0
	return in.Finish(w.ctx, run, models.Failed)
}

// startsNothing makes passes that must not start a run.
func startsNothing(w *world, in *repo.Repo, _ int64) error {
	for range 3 {
		if runs, err := in.Admit(w.ctx); err != nil || len(runs) > 0 {
			return errors.Join(err, fmt.Errorf("%d runs have started", len(runs)))
		}
	}
	return nil
}

// surprised sees to it that a verb does not decide on what the transaction has read before.
func surprised(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	for _, s := range surprises {
		for _, level := range w.levels() {
			for _, model := range []any{&models.DagRun{}, &models.BackfillDagRun{}, &models.Backfill{}, &models.Dag{}} {
				require.NoError(w, w.db.Where("1 = 1").Delete(model).Error)
			}
			w.dag("d", 2)
			w.queue("d", 6, past, time.Minute)
			w.dag("e", 1)
			b := w.backfill("d", 2, 6).BackfillID
			notes := w.notes()
			after := ""
			err := w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
				require.NoError(w, tx.Limit(1).Find(&[]note{}).Error)
				s.others(w, w.repo(), b)
				after = w.everything()
				in, err := w.r.WithTx(tx)
				if err != nil {
					return err
				}
				err = s.verb(w, in, b)
				w.fits(s, level, err)
				if errors.Is(err, locking.ErrGone) {
					return err
				}
				return tx.Create(&note{}).Error
			}, &sql.TxOptions{Isolation: level})
			if err != nil {
				require.ErrorIs(w, err, locking.ErrGone, "%s at %s", s.name, level)
				require.True(w, w.r.Transient(err))
				require.Equal(w, notes, w.notes())
			} else {
				require.Equal(w, notes+1, w.notes())
			}
			if !w.d.RowLocks {
				require.Error(w, err, "it has read what somebody has changed since")
			}
			require.Equal(w, after, w.everything(), "%s at %s", s.name, level)
		}
	}
}

// fits is what a verb may say at a level.
func (w *world) fits(s surprise, level sql.IsolationLevel, err error) {
	switch {
	case s.gate && w.refuses(level):
		require.ErrorIs(w, err, locking.ErrSnapshot, "%s at %s", s.name, level)
	case errors.Is(err, locking.ErrSnapshot) && level == sql.LevelRepeatableRead:
	case errors.Is(err, locking.ErrGone) && w.refuses(level): // it is told by the row itself
	case s.want != nil:
		require.ErrorIs(w, err, s.want, "%s at %s", s.name, level)
	default:
		require.NoError(w, err, "%s at %s", s.name, level)
	}
}

// lockIsNotEnough is the control: a lock alone, and a count after it, in a transaction that has
// read before. Where there is one writer, the lock is not to be had.
func lockIsNotEnough(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	w.dag("d", 2)
	runs := w.queue("d", 6, past, time.Minute)
	err := w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
		require.NoError(w, tx.Limit(1).Find(&[]note{}).Error)
		require.Len(w, w.pass(), 2)
		held, err := locking.Hold(tx, locking.Rows{Model: &models.Dag{}, Fence: "fence"}, []string{"d"})
		if err != nil {
			return err
		}
		require.Equal(w, []string{"d"}, held)
		var running int64
		require.NoError(w, tx.Model(&models.DagRun{}).Where("state = ?", models.Running).Count(&running).Error)
		for _, run := range runs[2 : 4-running] {
			require.NoError(w, tx.Model(&run).UpdateColumn("state", models.Running).Error)
		}
		return nil
	}, &sql.TxOptions{Isolation: w.levels()[len(w.levels())/2]})
	if !w.d.RowLocks {
		require.Error(w, err)
		return
	}
	require.NoError(w, err)
	w.running(map[repo.Gate]int{dagGate("d"): 4})
}

var joinedLevels = []testCase{
	{"8 callers admit in their own transactions, at each isolation level", callers(0, false)},
	{"8 callers admit in their own transactions, of which 4 make ordinary passes", callers(4, false)},
	{"8 callers admit in their own transactions, in which they have read", func(w *world) { callers(2, w.d.RowLocks)(w) }},
	{"in the caller's transaction: what others have done since it began", surprised},
	{"control: in the caller's transaction a lock alone is not enough", lockIsNotEnough},
}
