package tests

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// callersPass is a pass in a transaction of the caller's own, at the level of its connection. It
// may be refused, or be lost with the transaction; then nothing has started.
var callersPass = operation{
	name: "caller's pass", passes: true, may: []error{locking.ErrSnapshot, locking.ErrGone},
	by: func(ctx context.Context, db *gorm.DB) (runs []models.DagRun, err error) {
		r, err := repo.New(db)
		if err != nil {
			return nil, err
		}
		err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Take(&models.Dag{}).Error; err != nil { // from here on it may not see what others commit
				return err
			}
			in, err := r.WithTx(tx)
			if err == nil {
				runs, err = in.Admit(ctx)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		return runs, nil
	},
}

// callersSituations are those in which one pass is in the caller's transaction.
func callersSituations() []situation {
	dag, backfill, b := atDag(), atBackfill(), first
	dead, free := atDag().withDeadScheduler(), data{}.withDag("d", 2).withRuns("d", 1, 2)
	return []situation{
		meet("DAG", dag, -1, callersPass, pass),
		meet("DAG", dag, -1, callersPass, callersPass),
		meet("DAG", dag, -1, callersPass, pauseDag),
		meet("DAG", dag, -1, callersPass, finish(dag, 0)),
		meet("DAG", dag, -1, callersPass, finish(dag, 1)),
		meet("DAG", dag, -1, callersPass, requeueing(dag, 0)),
		meet("DAG", dag, -1, callersPass, requeueing(dag, 1)),
		meet("DAG", dag, -1, callersPass, setRunning(dag, 3)),
		meet("DAG", dag, -1, callersPass, lowerDag),
		meet("DAG", dag, -1, callersPass, raiseDag),
		meet("DAG", dag, -1, callersPass, staleDag),
		meet("DAG, paused", pausedDag(), -1, callersPass, unpauseDag),
		meet("DAG", dag, -1, callersPass, enqueue(nil)),
		meet("DAG", dead, -1, callersPass, recovery(dead, 0)),
		meet("DAG without backfill", free, -1, callersPass, create),
		meet("backfill", backfill, -1, callersPass, pass),
		meet("backfill", backfill, -1, callersPass, callersPass),
		meet("backfill", backfill, -1, callersPass, cancelBackfill),
		meet("backfill", backfill, -1, callersPass, pauseBackfill),
		meet("backfill", backfill, -1, callersPass, lowerBackfill),
		meet("backfill", backfill, -1, callersPass, finish(backfill, 0)),
		meet("backfill", backfill, -1, callersPass, enqueue(&b)),
		meet("backfill", backfill, -1, callersPass, sweep),
	}
}

// callersAt explores them at a level that the caller has chosen; empty for the engine's default.
// The short form has every third.
func callersAt(level string, engines ...string) func(*world) {
	return func(w *world) {
		if len(engines) > 0 && !slices.Contains(engines, w.d.Engine) {
			return
		}
		all := callersSituations()
		if prove() {
			w.long()
		} else {
			all = everyThird(all)
		}
		w.interleave(all, level)
	}
}
