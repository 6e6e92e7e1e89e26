package repo

import (
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// again are runs as their next attempts, queued at the instant now.
func again(runs []models.DagRun, now models.Time) []models.DagRun {
	next := slices.Clone(runs)
	for i := range next {
		next[i].SetState(models.Queued, now)
		next[i].ClearNumber++
		next[i].UpdatedAt = now
	}
	return next
}

// byAttempt are the ids of runs, by the number of the attempt at which they were found.
func byAttempt(runs []models.DagRun) map[int][]int64 {
	ids := map[int][]int64{}
	for _, run := range runs {
		ids[run.ClearNumber] = append(ids[run.ClearNumber], run.ID)
	}
	return ids
}

// attempt is what a run must still be when it is changed.
type attempt struct {
	state       models.State
	clearNumber int
}

// queueAgain writes the next attempt of runs, with further changes to each, guarded by what was
// found: a run that has changed since makes the transaction begin anew.
func queueAgain(tx *gorm.DB, runs []models.DagRun, now models.Time, also map[string]any, m *meter) error {
	found := map[attempt][]int64{}
	for _, run := range runs {
		a := attempt{run.State, run.ClearNumber}
		found[a] = append(found[a], run.ID)
	}
	for a, ids := range found {
		changes := map[string]any{
			"state": models.Queued, "queued_at": now, "start_date": nil, "end_date": nil, "clear_number": a.clearNumber + 1, "updated_at": now,
		}
		maps.Copy(changes, also)
		for some := range slices.Chunk(ids, insertBatch) {
			queued := tx.Model(&models.DagRun{}).Where(withIDs(tx, some)).Where("clear_number = ? AND COALESCE(state, '') = ?", a.clearNumber, a.state).UpdateColumns(maps.Clone(changes))
			if queued.Error != nil {
				return queued.Error
			}
			if queued.RowsAffected != int64(len(some)) {
				return locking.ErrChanged
			}
			m.add(len(some))
		}
	}
	return nil
}
