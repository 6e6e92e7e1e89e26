package repo

import (
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// triggeredByBackfill is what Airflow calls the actor that queues the runs of a backfill.
const triggeredByBackfill = "backfill"

// fill queues the runs of a backfill and writes its dates, which it returns.
func (r *Repo) fill(tx *gorm.DB, q BackfillRequest, b models.Backfill, plan []planned) ([]models.BackfillDagRun, error) {
	dates := places(plan, b.ID)
	var made, again []models.DagRun
	var empty []*models.BackfillDagRun // the dates of the new runs
	for i, p := range plan {
		switch {
		case p.run.ID != 0:
			again = append(again, p.run)
		case p.reason == "":
			made = append(made, newRun(b, p.Interval, dates[i].SortOrdinal))
			empty = append(empty, &dates[i])
		}
	}
	m := r.meter(len(made) + len(again) + len(dates))
	if err := r.insert(tx, made, m); err != nil {
		return nil, err
	}
	for i := range made {
		empty[i].DagRunID = &made[i].ID
	}
	if err := queueAgain(tx, again, b.CreatedAt, joining(b), m); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(dates, insertBatch) {
		if err := tx.Create(some).Error; err != nil {
			return nil, err
		}
		m.add(len(some))
	}
	if err := r.placeRuns(tx, again, b.ID); err != nil {
		return nil, err
	}
	return dates, r.readPlaces(tx, dates)
}

// placeRuns gives runs that have joined a backfill the places of its dates.
func (r *Repo) placeRuns(tx *gorm.DB, runs []models.DagRun, backfillID int64) error {
	place := r.sql("(SELECT o.sort_ordinal FROM {backfill_dag_run} o WHERE o.dag_run_id = {dag_run}.id AND o.backfill_id = ?)")
	var ids []int64
	for _, run := range runs {
		ids = append(ids, run.ID)
	}
	for some := range slices.Chunk(ids, insertBatch) {
		err := tx.Model(&models.DagRun{}).Where(withIDs(tx, some)).UpdateColumn("sort_ordinal", gorm.Expr(place, backfillID)).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// newRun is the run that a backfill makes for a date, which has a place in its order.
func newRun(b models.Backfill, i Interval, ordinal int) models.DagRun {
	return fresh(models.DagRun{
		DagID: b.DagID, RunType: models.BackfillRun, LogicalDate: models.At(i.Start), RunAfter: models.At(i.End),
		DataIntervalStart: models.At(i.Start), DataIntervalEnd: models.At(i.End), BackfillID: &b.ID, SortOrdinal: models.Place(ordinal),
		Conf: b.DagRunConf, TriggeredBy: triggeredByBackfill, TriggeringUserName: b.TriggeringUserName,
	}, b.CreatedAt)
}

// joining are the changes to a run that exists and joins a backfill. Its configuration stays
// unless the backfill has one. Its place is set by placeRuns.
func joining(b models.Backfill) map[string]any {
	changes := map[string]any{"backfill_id": b.ID, "run_type": models.BackfillRun, "triggered_by": triggeredByBackfill}
	if b.DagRunConf != nil {
		changes["conf"] = b.DagRunConf
	}
	return changes
}

// readPlaces reads the ids of a backfill's dates, where GORM could only guess them.
func (r *Repo) readPlaces(tx *gorm.DB, dates []models.BackfillDagRun) error {
	if server := locking.Found(r.db); server == nil || !server.GuessesKeys() {
		return nil
	}
	var ids []int64
	err := tx.Model(&models.BackfillDagRun{}).Where("backfill_id = ?", dates[0].BackfillID).Order("sort_ordinal").Pluck("id", &ids).Error
	for i, id := range ids {
		dates[i].ID = id
	}
	return err
}
