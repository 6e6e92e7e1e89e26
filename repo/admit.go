package repo

import (
	"context"
	"log/slog"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// Admit makes one pass over some of the gates with waiting runs, and returns the runs that it
// started: they are running, in this scheduler's name, and the caller's to execute. None and
// no error means that nothing could be started here and now; wait a little, at random, before
// the next pass. The order is that of each gate: the DAG's by run_after, a backfill's by its
// own order, and the lower id first.
//
// Any number of schedulers may call it at once: a gate that another one holds is passed over.
// With an error no run was started, but for [locking.ErrCommitUnknown], after which the runs
// may have been. [locking.ErrContention] means that it lost every attempt; it may be called again.
func (r *Repo) Admit(ctx context.Context) ([]models.DagRun, error) {
	runs, _, err := r.pass(ctx, r.runsPerPass)
	return runs, err
}

// pass is one pass that starts at most so many runs; it returns the gates that it looked at as
// well. Most try first the gates that this scheduler has just freed, which are known without a
// look at the others, however many these are.
func (r *Repo) pass(ctx context.Context, atMost int) ([]models.DagRun, []Gate, error) {
	if freed := r.ring.takeFreed(r.gatesOfKind(atMost)); len(freed) > 0 {
		if runs, err := r.passThrough(ctx, freed, atMost); err != nil || len(runs) > 0 {
			return runs, freed, err
		}
	}
	gates, err := r.waitingGates(ctx, atMost)
	if err != nil || len(gates) == 0 {
		return nil, nil, r.explain("admit", err)
	}
	runs, err := r.passThrough(ctx, gates, atMost)
	return runs, gates, err
}

// passThrough is a pass through some gates.
func (r *Repo) passThrough(ctx context.Context, gates []Gate, atMost int) ([]models.DagRun, error) {
	runs, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) ([]models.DagRun, error) {
		runs, err := r.admitThrough(tx, gates, atMost)
		if err == nil {
			err = r.mustFit(tx, runs)
		}
		return runs, err
	})
	r.logger.DebugContext(ctx, "pass", slog.Int("gates", len(gates)), slog.Int("started", len(runs)))
	return runs, r.explain("admit", err)
}

// admitThrough is the transaction of a pass. Hold first, read after: whatever is decided on is
// read in a statement later than the hold, and nothing but a held gate decides what may start.
func (r *Repo) admitThrough(tx *gorm.DB, gates []Gate, atMost int) ([]models.DagRun, error) {
	held, err := r.hold(tx, gates, passingOver)
	if err != nil || len(held) == 0 {
		return nil, err
	}
	open, err := r.capacity(tx, held, atMost)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	queued, now, err := r.nextQueued(tx, open)
	if err != nil || len(queued) == 0 {
		return nil, err
	}
	return r.markRunning(tx, queued, now)
}

// hold takes the gates, kind by kind and in the order of their keys, and returns those taken.
func (r *Repo) hold(tx *gorm.DB, gates []Gate, take taking) (held []Gate, err error) {
	for _, k := range r.kinds {
		taken, err := k.hold(tx, k.of(gates), take)
		if err != nil {
			return nil, err
		}
		held = append(held, taken...)
	}
	return held, nil
}

// openGate is a held gate with room.
type openGate struct {
	Gate
	Slots  int  // how many runs it may start
	Astray bool // some of its queued runs have their place elsewhere
}

// capacity reads the held gates again: those that admit runs, with their limit less what runs
// in them, and at most so many slots in all.
func (r *Repo) capacity(tx *gorm.DB, held []Gate, atMost int) (open []openGate, err error) {
	var u union
	for _, k := range r.kinds {
		if gates := k.of(held); len(gates) > 0 {
			u.add("SELECT "+k.names+", "+k.limit+" - "+k.running()+" AS slots, "+k.astray+" AS astray FROM "+k.from+
				" WHERE "+k.column+" IN @keys AND "+k.admits, map[string]any{"keys": k.keys(gates)})
		}
	}
	err = tx.Raw("?", r.named(u)).Scan(&open).Error
	open = slices.DeleteFunc(open, func(g openGate) bool { return g.Slots <= 0 })
	return share(open, atMost), err
}

// pick is a run that may start, and its place among those of its gate.
type pick struct {
	Place int
	ID    int64 // 0 when the gate has no such run
	Now   models.Time
}

// nextQueued picks the due runs that each gate may start, in its order, and reads the time at
// which they start: later than the count, so that no run starts before one ended that made room
// for it. They need no lock: markRunning guards them.
func (r *Repo) nextQueued(tx *gorm.DB, open []openGate) (ids []int64, now models.Time, err error) {
	due, clock, err := r.now(tx.Statement.Context)
	if err != nil {
		return nil, now, err
	}
	values := map[string]any{"now": due}
	for n := 0; ; n++ {
		var u union
		for _, k := range r.kinds {
			if n == 0 {
				k.picks(&u, open, values, clock)
			}
			k.pickStrays(&u, open, n, values, clock)
		}
		if len(u) == 0 {
			return ids, now, nil
		}
		var found []pick
		if err := tx.Raw("?", r.named(u)).Scan(&found).Error; err != nil {
			return nil, now, err
		}
		slices.SortStableFunc(found, func(a, b pick) int { return a.Place - b.Place })
		for _, run := range found {
			if run.ID != 0 {
				now = r.clockOr(run.Now)
				ids = append(ids, run.ID)
			}
			if run.Place >= few {
				open[run.Place-few].Slots--
			}
		}
	}
}

// markRunning starts the runs. Each must still be queued, or the pass begins anew. The guard
// is written so that no index serves it: an engine without statistics would else walk the
// whole queue to find a few runs that it was given by id.
func (r *Repo) markRunning(tx *gorm.DB, ids []int64, now models.Time) ([]models.DagRun, error) {
	marked := tx.Model(&models.DagRun{}).Where("id IN ? AND COALESCE(state, '') = ?", pad(ids), models.Queued).UpdateColumns(map[string]any{
		"state": models.Running, "start_date": now, "end_date": nil, "updated_at": now, "scheduled_by_job_id": r.job.Load(),
	})
	if marked.Error != nil {
		return nil, marked.Error
	}
	if marked.RowsAffected != int64(len(ids)) {
		return nil, locking.ErrChanged
	}
	runs := make([]models.DagRun, 0, len(ids))
	if err := tx.Where("id IN ?", pad(ids)).Find(&runs).Error; err != nil {
		return nil, err
	}
	place := make(map[int64]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(runs, func(a, b models.DagRun) int { return place[a.ID] - place[b.ID] })
	return runs, nil
}
