package repo

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// Enqueue queues runs: one or thousands, all of them or, with an error, none. It returns them
// as they were stored. Of each run it takes DagID, RunID, RunType, LogicalDate, the data
// interval, RunAfter, BackfillID, SortOrdinal, Conf, TriggeredBy, TriggeringUserName and CreatingJobID;
// the rest it sets itself. Where they are empty, RunType becomes manual (backfill with a
// BackfillID), RunAfter the logical date or else now, and RunID is made in Airflow's form,
// such as manual__2024-01-01T00:00:00+00:00, with random letters after it when there is no logical date.
//
// It returns [ErrInvalid], [ErrDagNotFound], [ErrBackfillNotFound], or [ErrExists] when the
// DAG has a run of that run_id or logical date.
func (r *Repo) Enqueue(ctx context.Context, runs ...models.DagRun) ([]models.DagRun, error) {
	ctx, verb := r.begin(ctx, "enqueue")
	for _, run := range runs {
		if err := checkRun(run); err != nil {
			return nil, verb.end(err)
		}
	}
	if err := r.mustExist(ctx, runs); err != nil {
		return nil, verb.end(err)
	}
	stored, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) ([]models.DagRun, error) {
		now, err := r.read(tx)
		if err != nil {
			return nil, err
		}
		stored := make([]models.DagRun, len(runs))
		for i, run := range runs {
			stored[i] = fresh(run, now)
		}
		return stored, r.insert(tx, stored, r.meter(len(stored)))
	})
	if locking.Is(r.db, err, dialect.Duplicate) {
		err = r.duplicate(ctx, runs, err)
	}
	if err == nil {
		r.changed(ctx, models.Queued, stored...)
	}
	return stored, verb.end(err)
}

func checkRun(run models.DagRun) error {
	if err := checkID("DAG id", run.DagID); err != nil {
		return err
	}
	if run.RunID != "" {
		if err := checkID("run id", run.RunID); err != nil {
			return err
		}
	}
	if _, err := run.Conf.Value(); err != nil {
		return fmt.Errorf("%w conf of run %s: %w", ErrInvalid, run.RunID, err)
	}
	return cmp.Or(
		checkText("run type", string(run.RunType), 50),
		checkText("triggered_by", run.TriggeredBy, 50),
		checkText("triggering_user_name", run.TriggeringUserName, 512),
	)
}

// mustExist checks that the runs' DAGs and backfills are there; nothing deletes them later. It
// reads before the transaction, whose first statement is a write so that SQLite can wait.
func (r *Repo) mustExist(ctx context.Context, runs []models.DagRun) error {
	var dags []string
	var backfills []int64
	for _, g := range gatesOf(runs) {
		if g.Kind == BackfillGate {
			backfills = append(backfills, g.BackfillID)
		}
		dags = append(dags, g.DagID)
	}
	foundDags, err := find[models.Dag](r.db.WithContext(ctx), "dag_id", dags)
	if err != nil {
		return err
	}
	foundBackfills, err := find[models.Backfill](r.db.WithContext(ctx), "id", backfills)
	if err != nil {
		return err
	}
	known := map[Gate]bool{}
	for _, dag := range foundDags {
		known[Gate{DagGate, dag.DagID, 0}] = true
	}
	for _, b := range foundBackfills {
		known[Gate{BackfillGate, b.DagID, b.ID}] = true
	}
	for _, g := range gatesOf(runs) {
		if !known[Gate{DagGate, g.DagID, 0}] {
			return fmt.Errorf("%w: %s", ErrDagNotFound, g.DagID)
		}
		if !known[g] {
			return fmt.Errorf("%w: %d of DAG %s", ErrBackfillNotFound, g.BackfillID, g.DagID)
		}
	}
	return nil
}

// gatesOf are the gates of runs, each once.
func gatesOf(runs []models.DagRun) (gates []Gate) {
	seen := map[Gate]bool{}
	for _, run := range runs {
		if g := GateOf(run); !seen[g] {
			seen[g] = true
			gates = append(gates, g)
		}
	}
	return gates
}

// find reads the rows whose key is among the values, some hundred at a time.
func find[M, K any](db *gorm.DB, key string, values []K) (found []M, err error) {
	for some := range slices.Chunk(values, 500) {
		var rows []M
		if err := db.Where(key+" IN ?", some).Find(&rows).Error; err != nil {
			return nil, err
		}
		found = append(found, rows...)
	}
	return found, nil
}

// fresh is the run as it is stored when it is queued at the instant now.
func fresh(run models.DagRun, now models.Time) models.DagRun {
	stored := models.DagRun{
		DagID: run.DagID, RunID: run.RunID, RunType: run.RunType, LogicalDate: run.LogicalDate,
		DataIntervalStart: run.DataIntervalStart, DataIntervalEnd: run.DataIntervalEnd,
		RunAfter: run.RunAfter, BackfillID: run.BackfillID, SortOrdinal: run.SortOrdinal, Conf: run.Conf,
		TriggeredBy: run.TriggeredBy, TriggeringUserName: run.TriggeringUserName,
		CreatingJobID: run.CreatingJobID, CreatedAt: now, UpdatedAt: now,
	}
	stored.SetState(models.Queued, now)
	if stored.RunAfter.IsZero() {
		stored.RunAfter = now
		if !stored.LogicalDate.IsZero() {
			stored.RunAfter = stored.LogicalDate
		}
	}
	if stored.RunType == "" {
		stored.RunType = models.ManualRun
		if stored.BackfillID != nil {
			stored.RunType = models.BackfillRun
		}
	}
	if stored.RunID == "" {
		stored.RunID = newRunID(stored)
	}
	return stored
}

// newRunID makes the id that Airflow would (DagRun.generate_run_id).
func newRunID(run models.DagRun) string {
	if !run.LogicalDate.IsZero() {
		return fmt.Sprintf("%s__%s", run.RunType, isoformat(run.LogicalDate))
	}
	return fmt.Sprintf("%s__%s_%s", run.RunType, isoformat(run.RunAfter), strings.ToLower(rand.Text()[:13]))
}

// isoformat writes a time as Python does: microseconds only when there are some.
func isoformat(t models.Time) string {
	if t.Nanosecond() == 0 {
		return t.UTC().Format("2006-01-02T15:04:05-07:00")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000-07:00")
}

// duplicate says which of the runs exists already, after the database has refused them.
func (r *Repo) duplicate(ctx context.Context, runs []models.DagRun, cause error) error {
	ids, dates := map[[2]string]bool{}, map[string]bool{}
	for _, run := range runs {
		id, date := [2]string{run.DagID, run.RunID}, run.DagID+" "+isoformat(run.LogicalDate)
		if run.RunID != "" && ids[id] || !run.LogicalDate.IsZero() && dates[date] {
			return fmt.Errorf("%w: %s of DAG %s is given twice", ErrExists, run.RunID, run.DagID)
		}
		ids[id], dates[date] = true, true
	}
	for _, run := range runs {
		var found models.DagRun
		filled := fresh(run, models.Time{})
		err := r.db.WithContext(ctx).Where("dag_id = ? AND (run_id = ? OR logical_date = ?)", run.DagID, filled.RunID, run.LogicalDate).Take(&found).Error
		if err == nil {
			date := "without logical date"
			if !found.LogicalDate.IsZero() {
				date = "logical date " + isoformat(found.LogicalDate)
			}
			return fmt.Errorf("%w: %s of DAG %s is %s, %s", ErrExists, found.RunID, run.DagID, found.State, date)
		}
	}
	return fmt.Errorf("%w: %w", ErrExists, cause)
}
