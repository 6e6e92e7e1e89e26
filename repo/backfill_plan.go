package repo

import (
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
)

// planned is one date of a backfill and what becomes of it: it gets a new run, or the run that
// it has is queued again, or it is skipped.
type planned struct {
	Interval
	reason models.ExceptionReason // why it is skipped; empty otherwise
	run    models.DagRun          // the run that is queued again, as it was read; its ID is 0 otherwise
}

// mustBeFree refuses a backfill of the range while another one is active: of the DAG, or, where
// several may be, of dates that overlap. The one with the id except does not count.
func (r *Repo) mustBeFree(db *gorm.DB, dagID string, from, to models.Time, except int64) error {
	query := db.Where("dag_id = ? AND completed_at IS NULL AND id <> ?", dagID, except)
	if r.parallelBackfills {
		query = query.Where("from_date <= ? AND to_date >= ?", to, from)
	}
	var active []models.Backfill
	if err := query.Order("id").Limit(1).Find(&active).Error; err != nil {
		return err
	}
	for _, b := range active {
		return fmt.Errorf("%w: %d of DAG %s, from %s to %s", ErrBackfillActive, b.ID, b.DagID, isoformat(b.FromDate), isoformat(b.ToDate))
	}
	return nil
}

// plan decides what becomes of each date, in the order of the backfill.
func (r *Repo) plan(db *gorm.DB, q BackfillRequest, intervals []Interval) ([]planned, error) {
	dates := make([]models.Time, len(intervals))
	for i, interval := range intervals {
		dates[i] = models.At(interval.Start)
	}
	columns := []string{"id", "run_id", "state", "clear_number", "logical_date"}
	runs := db.Select(columns).Where("dag_id = ?", q.DagID).Session(&gorm.Session{})
	found, err := find[models.DagRun](runs, "logical_date", dates)
	if err != nil {
		return nil, err
	}
	onDate := map[int64]models.DagRun{}
	for _, run := range found {
		onDate[run.LogicalDate.UnixMicro()] = run
	}
	var ids []string // of the runs that are to be made
	for _, date := range dates {
		if _, ok := onDate[date.UnixMicro()]; !ok {
			ids = append(ids, backfillRunID(date))
		}
	}
	found, err = find[models.DagRun](runs, "run_id", ids)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, run := range found {
		taken[run.RunID] = true
	}
	plan := make([]planned, len(intervals))
	for i, interval := range intervals {
		plan[i] = q.decide(interval, onDate[dates[i].UnixMicro()], taken[backfillRunID(dates[i])])
	}
	if q.Reverse {
		slices.Reverse(plan)
	}
	return plan, nil
}

// decide is what becomes of one date, which has a run or none, and whose run_id another date's run may have.
func (q *BackfillRequest) decide(interval Interval, run models.DagRun, taken bool) planned {
	p := planned{Interval: interval}
	again := q.Reprocess == models.ReprocessCompleted && run.State.Finished() ||
		q.Reprocess == models.ReprocessFailed && run.State == models.Failed
	switch {
	case run.ID == 0 && taken:
		p.reason = models.Unknown
	case run.ID == 0: // a new run
	case run.State == models.Queued || run.State == models.Running:
		p.reason = models.InFlight
	case again:
		p.run = run
	default:
		p.reason = models.AlreadyExists
	}
	return p
}

// backfillRunID is the run_id that a backfill's run of that date is given.
func backfillRunID(date models.Time) string {
	return newRunID(models.DagRun{RunType: models.BackfillRun, LogicalDate: date})
}

// places are the rows of the dates, in their order. New runs have no id in them yet.
func places(plan []planned, backfillID int64) []models.BackfillDagRun {
	rows := make([]models.BackfillDagRun, len(plan))
	for i, p := range plan {
		rows[i] = models.BackfillDagRun{BackfillID: backfillID, LogicalDate: models.At(p.Start), SortOrdinal: i + 1, ExceptionReason: p.reason}
		if p.run.ID != 0 {
			rows[i].DagRunID = &plan[i].run.ID
		}
	}
	return rows
}
