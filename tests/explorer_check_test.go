package tests

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// data is what each order begins with. The runs of a gate are listed in its order.
type data struct {
	dags      []models.Dag
	backfills []models.Backfill
	runs      []models.DagRun
	places    []models.BackfillDagRun
	jobs      []models.Job
	limit     int // of each gate
}

// contents is what an order has left behind.
type contents struct {
	runs      map[int64]models.DagRun
	backfills []models.Backfill
}

// clean empties the tables.
func (e *explorer) clean() {
	err := e.db.Transaction(func(tx *gorm.DB) error {
		tx = tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(tx.Delete(&models.BackfillDagRun{}).Error, tx.Delete(&models.DagRun{}).Error,
			tx.Delete(&models.Backfill{}).Error, tx.Delete(&models.Dag{}).Error, tx.Delete(&models.Job{}).Error)
	})
	if err != nil {
		e.Fatal(err)
	}
}

// insert stores the data.
func (d data) insert(w *world) {
	err := w.db.Transaction(func(tx *gorm.DB) error {
		dags, backfills, runs, places := slices.Clone(d.dags), slices.Clone(d.backfills), slices.Clone(d.runs), slices.Clone(d.places)
		err := errors.Join(tx.Create(&dags).Error, tx.Create(&runs).Error)
		if len(backfills) > 0 {
			err = errors.Join(err, tx.Create(&backfills).Error)
		}
		if len(places) > 0 {
			err = errors.Join(err, tx.Create(&places).Error)
		}
		if len(d.jobs) > 0 {
			jobs := slices.Clone(d.jobs)
			err = errors.Join(err, tx.Create(&jobs).Error)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (d data) read(w *world) (contents, error) {
	var runs []models.DagRun
	c := contents{runs: map[int64]models.DagRun{}}
	err := errors.Join(w.db.Find(&runs).Error, w.db.Find(&c.backfills).Error)
	for _, run := range runs {
		c.runs[run.ID] = run
	}
	return c, err
}

// attempt is one life of a run.
type attempt struct {
	id    int64
	clear int
}

func attemptOf(run models.DagRun) attempt { return attempt{run.ID, run.ClearNumber} }

// running are the attempts that run in the beginning.
func (d data) running() map[attempt]repo.Gate {
	running := map[attempt]repo.Gate{}
	for _, run := range d.runs {
		if run.State == models.Running {
			running[attemptOf(run)] = repo.GateOf(run)
		}
	}
	return running
}

// ended are the attempts that an operation ends: not that of a queued run which is queued again.
func (o *outcome) ended() []models.DagRun {
	if o.requeues && len(o.runs) == 1 && len(o.touches) == 1 && o.runs[0].ClearNumber == o.touches[0].ClearNumber {
		return nil
	}
	return o.touches
}

// peak: counted outside, up when an operation has returned a run and down when the one that
// ends it begins, no gate ever has more runs than its limit.
func (e *explorer) peak(outcomes []*outcome, _ contents) string {
	limit := e.data.limit
	type event struct {
		at  int
		up  bool
		run models.DagRun
	}
	var events []event
	for _, o := range outcomes {
		limit = max(limit, o.limit)
		for _, run := range o.ended() {
			events = append(events, event{at: o.began, run: run})
		}
		if o.passes || o.starts {
			for _, run := range o.runs {
				events = append(events, event{at: o.returned, up: true, run: run})
			}
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at - b.at })
	running, gone := e.data.running(), map[attempt]bool{}
	for _, event := range events {
		one := attemptOf(event.run)
		if !event.up {
			delete(running, one)
			gone[one] = true
			continue
		}
		if gone[one] {
			continue
		}
		running[one] = repo.GateOf(event.run)
		counts := map[repo.Gate]int{}
		for _, g := range running {
			if counts[g]++; counts[g] > limit {
				return fmt.Sprintf("cap exceeded: %d run in %v, whose limit is %d", counts[g], g, limit)
			}
		}
	}
	return ""
}

// ledger: no run is lost, none is handed out twice, and what runs in the database is what was
// handed out and has not been ended.
func (e *explorer) ledger(outcomes []*outcome, after contents) string {
	running, rows := e.data.running(), len(e.data.runs)
	handed := map[attempt]bool{}
	for _, o := range outcomes {
		if o.adds && o.err == nil {
			rows += len(o.runs)
		}
		if !o.passes && !o.starts {
			continue
		}
		for _, run := range o.runs {
			if handed[attemptOf(run)] {
				return fmt.Sprintf("admitted twice: %s", run.RunID)
			}
			handed[attemptOf(run)] = true
			running[attemptOf(run)] = repo.GateOf(run)
		}
	}
	for _, o := range outcomes {
		for _, run := range o.ended() {
			if o.err == nil {
				delete(running, attemptOf(run))
			}
		}
	}
	for _, pass := range outcomes {
		for _, run := range pass.runs {
			switch by := endedBefore(outcomes, pass, run); {
			case !pass.passes:
			case run.State != models.Running:
				return fmt.Sprintf("%s was handed out, and is %s", run.RunID, run.State)
			case by != "":
				return fmt.Sprintf("%s was handed out in an attempt that was over by %s", run.RunID, by)
			}
		}
	}
	if len(after.runs) != rows {
		return fmt.Sprintf("%d runs are left of %d", len(after.runs), rows)
	}
	found := map[attempt]repo.Gate{}
	for _, run := range after.runs {
		if run.State == models.Running {
			found[attemptOf(run)] = repo.GateOf(run)
		}
		if run.State == models.Queued && !(run.StartDate.IsZero() && run.EndDate.IsZero()) || run.State == models.Running && (run.StartDate.IsZero() || !run.EndDate.IsZero()) {
			return fmt.Sprintf("%s is %s with start %v and end %v", run.RunID, run.State, run.StartDate, run.EndDate)
		}
	}
	if !maps.Equal(running, found) {
		return fmt.Sprintf("runs lost or leaked: %v run, and %v were handed out and have not ended", found, running)
	}
	return ""
}

// endedBefore names what had ended the attempt of a run, and had committed, before a pass did.
func endedBefore(outcomes []*outcome, pass *outcome, run models.DagRun) string {
	for _, o := range outcomes {
		for _, ended := range o.ended() {
			if o.err == nil && attemptOf(ended) == attemptOf(run) && o.committed < pass.committed {
				return o.name
			}
		}
	}
	return ""
}

// inOrder: a pass starts nothing while an earlier run of the gate stays queued that nobody
// else has touched.
func (e *explorer) inOrder(outcomes []*outcome, after contents) string {
	touched := map[int64]bool{}
	for _, o := range outcomes {
		for _, run := range o.touches {
			touched[run.ID] = true
		}
		if o.starts {
			for _, run := range o.runs {
				touched[run.ID] = true
			}
		}
	}
	rank := map[int64]int{}
	for i, run := range e.data.runs {
		if !touched[run.ID] {
			rank[run.ID] = i + 1
		}
	}
	for _, o := range outcomes {
		last := map[repo.Gate]int{}
		for _, run := range o.runs {
			if !o.passes || rank[run.ID] == 0 {
				continue
			}
			g := repo.GateOf(run)
			if rank[run.ID] < last[g] {
				return fmt.Sprintf("order broken: %s is handed out after a later run", run.RunID)
			}
			last[g] = rank[run.ID]
			for _, earlier := range e.data.runs[:rank[run.ID]-1] {
				if rank[earlier.ID] > 0 && repo.GateOf(earlier) == g && after.runs[earlier.ID].State == models.Queued {
					return fmt.Sprintf("order broken: %s started, and %s before it is queued", run.RunID, earlier.RunID)
				}
			}
		}
	}
	return ""
}

// forbidden: a pass that commits after a pause or the like has returned has started nothing.
func (e *explorer) forbidden(outcomes []*outcome, _ contents) string {
	for _, o := range outcomes {
		for _, pass := range outcomes {
			if o.forbids && o.err == nil && pass.passes && len(pass.runs) > 0 && pass.committed > o.returned {
				return fmt.Sprintf("started after %s had returned: %s", o.name, pass.runs[0].RunID)
			}
		}
	}
	return ""
}

// alone: no DAG has two active backfills, and one that was cancelled has ended.
func (e *explorer) alone(outcomes []*outcome, after contents) string {
	active, ended := map[string]int{}, true
	for _, b := range after.backfills {
		if b.ID == first {
			ended = !b.CompletedAt.IsZero()
		}
		if b.CompletedAt.IsZero() {
			active[b.DagID]++
		}
		if active[b.DagID] > 1 {
			return "two active backfills of DAG " + b.DagID
		}
	}
	for _, o := range outcomes {
		if o.cancels && o.err == nil && !ended {
			return "cancelled, and still active"
		}
	}
	return ""
}

// completed: a backfill ends only when nothing of it is queued or running.
func (e *explorer) completed(outcomes []*outcome, after contents) string {
	sweeps := false
	for _, o := range outcomes {
		if o.requeues || o.forbids {
			return ""
		}
		sweeps = sweeps || o.completes
	}
	for _, b := range after.backfills {
		for _, run := range after.runs {
			if sweeps && !b.CompletedAt.IsZero() && run.BackfillID != nil && *run.BackfillID == b.ID && !run.State.Finished() {
				return fmt.Sprintf("the backfill was completed, and %s is %s", run.RunID, run.State)
			}
		}
	}
	return ""
}

// enough: room is used, whoever comes first.
func (e *explorer) enough(outcomes []*outcome, _ contents) string {
	started := 0
	for _, o := range outcomes {
		if errors.Is(o.err, locking.ErrContention) {
			return ""
		}
		if o.passes {
			started += len(o.runs)
		}
	}
	if e.starts >= 0 && started != e.starts {
		return fmt.Sprintf("%d runs were started, not %d", started, e.starts)
	}
	return ""
}
