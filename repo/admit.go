package repo

import (
	"context"
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
// well, and tells of it.
func (r *Repo) pass(ctx context.Context, atMost int) ([]models.DagRun, []Gate, error) {
	ctx, verb := r.begin(ctx, "admit")
	var told Pass
	runs, gates, err := r.walk(ctx, atMost, &told)
	told.Err = err
	r.passed(ctx, told)
	r.changed(ctx, models.Running, runs...)
	return runs, gates, verb.end(err)
}

// walk goes through gates until runs have started, or none of those that wait would start. Most
// passes try first the gates that this scheduler has just freed, which are known without a
// look at the others, however many these are. What was found ahead may be so no longer: then
// it looks anew.
func (r *Repo) walk(ctx context.Context, atMost int, told *Pass) ([]models.DagRun, []Gate, error) {
	if freed := r.ring.takeFreed(r.gatesOfKind(atMost)); len(freed) > 0 {
		if started, err := r.passThrough(ctx, freed, atMost, told); err != nil || len(started.runs) > 0 {
			return started.runs, freed, err
		}
	}
	for {
		gates, fresh, err := r.nextGates(ctx, atMost)
		if err != nil || len(gates) == 0 {
			return nil, nil, err
		}
		started, err := r.passThrough(ctx, gates, atMost, told)
		if err != nil {
			return nil, gates, err
		}
		r.ring.learn(len(gates), started.room, len(started.runs), atMost)
		if len(started.runs) > 0 || fresh {
			return started.runs, gates, nil
		}
	}
}

// started is what came of some gates: the runs that it started, of those for which there was room.
type started struct {
	runs       []models.DagRun
	room       int
	passedOver int // gates that somebody else holds
}

// passThrough goes through some gates.
func (r *Repo) passThrough(ctx context.Context, gates []Gate, atMost int, told *Pass) (started, error) {
	made, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (started, error) {
		made, err := r.admitThrough(tx, gates, atMost)
		if err == nil {
			err = r.mustFit(tx, made.runs)
		}
		return made, err
	})
	told.through(gates, made)
	return made, err
}

// admitThrough is the transaction of a pass. Hold first, read after: whatever is decided on is
// read in a statement later than the hold, and nothing but a held gate decides what may start.
func (r *Repo) admitThrough(tx *gorm.DB, gates []Gate, atMost int) (made started, err error) {
	held, err := r.hold(tx, gates, passingOver)
	made.passedOver = len(gates) - len(held)
	if err != nil || len(held) == 0 {
		return made, err
	}
	open, err := r.capacity(tx, held)
	if err != nil || len(open) == 0 {
		return made, err
	}
	made.room = slots(open)
	queued, err := r.nextQueued(tx, share(open, atMost))
	if err != nil || len(queued) == 0 {
		return made, err
	}
	made.runs, err = r.markRunning(tx, queued)
	return made, err
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
// in them.
func (r *Repo) capacity(tx *gorm.DB, held []Gate) (open []openGate, err error) {
	var u union
	for _, k := range r.kinds {
		if gates := k.of(held); len(gates) > 0 {
			u.add("SELECT "+k.names+", "+k.limit+" - "+k.running()+" AS slots, "+k.astray+" AS astray FROM "+k.from+
				" WHERE "+k.column+" IN @keys AND "+k.admits, map[string]any{"keys": k.keys(gates)})
		}
	}
	err = tx.Raw("?", r.named(u)).Scan(&open).Error
	return slices.DeleteFunc(open, func(g openGate) bool { return g.Slots <= 0 }), err
}

// nextQueued reads the due runs that each gate may start, in its order, and the time. They need
// no lock: markRunning guards them. The time is read after the count, so that no run starts
// before one ended that made room for it.
func (r *Repo) nextQueued(tx *gorm.DB, open []openGate) ([]models.DagRun, error) {
	return r.queues(tx, open, r.forEach(), r.picked)
}

// markRunning starts the runs, and returns them as they are then. Each must still be queued,
// for the same attempt, or the pass begins anew. The guard is written so that no index serves
// it: an engine without statistics would else walk the whole queue to find a few runs that it
// was given by id.
func (r *Repo) markRunning(tx *gorm.DB, queued []models.DagRun) ([]models.DagRun, error) {
	now, job := r.clockOr(queued[len(queued)-1].StartDate), r.job.Load() // the last are read last
	for i := range queued {
		run := &queued[i]
		run.State, run.StartDate, run.EndDate, run.UpdatedAt, run.ScheduledByJobID = models.Running, now, models.Time{}, now, job
	}
	for attempt, ids := range byAttempt(queued) {
		marked := tx.Model(&models.DagRun{}).Where(withIDs(tx, ids)).Where("clear_number = ? AND COALESCE(state, '') = ?", attempt, models.Queued).UpdateColumns(map[string]any{
			"state": models.Running, "start_date": now, "end_date": nil, "updated_at": now, "scheduled_by_job_id": job,
		})
		if marked.Error != nil {
			return nil, marked.Error
		}
		if marked.RowsAffected != int64(len(ids)) {
			return nil, locking.ErrChanged
		}
	}
	return queued, nil
}
