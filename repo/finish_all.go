package repo

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// FinishAll is [Repo.Finish] for many runs in one transaction, which costs one commit instead of
// many. A run that Finish would refuse is left as it is, and keeps none of the others from
// ending: the error says of each why, as that of Finish does ([ErrAttempt], [ErrState],
// [ErrRunNotFound]). With any other error nothing is changed.
func (r *Repo) FinishAll(ctx context.Context, runs []models.DagRun, state models.State) error {
	ctx, verb := r.begin(ctx, "finish runs")
	if err := checkState(state, models.Success, models.Failed); err != nil {
		return verb.end(err)
	}
	now, _, err := r.now(ctx)
	if err != nil {
		return verb.end(err)
	}
	columns := ending(state, now)
	_, err = locking.InTx(ctx, r.db, func(tx *gorm.DB) (struct{}, error) {
		return struct{}{}, finishTogether(tx, runs, columns)
	})
	some := parted{ended: runs}
	if errors.Is(err, errSome) {
		some, err = locking.InTx(ctx, r.db, func(tx *gorm.DB) (parted, error) { return finishEach(tx, runs, columns) })
	}
	if err == nil {
		for _, run := range some.ended {
			r.ring.free(GateOf(run))
		}
		r.changed(ctx, state, some.ended...)
	}
	return verb.end(errors.Join(append(some.refused, err)...))
}

// parted are runs of which some have ended, and why the others have not.
type parted struct {
	ended   []models.DagRun
	refused []error
}

// finishEach ends those of the runs that can be ended.
func finishEach(tx *gorm.DB, runs []models.DagRun, columns map[string]any) (some parted, err error) {
	for _, run := range runs {
		switch err := finish(tx, run, columns); {
		case err == nil:
			some.ended = append(some.ended, run)
		case errors.Is(err, ErrState), errors.Is(err, ErrAttempt), errors.Is(err, ErrRunNotFound):
			some.refused = append(some.refused, err)
		default:
			return some, err
		}
	}
	return some, nil
}

// errSome undoes a change of some of the runs that were to be changed.
var errSome = errors.New("some of the runs cannot be finished")

// finishTogether ends the runs in few statements, by their number of attempts. It returns
// errSome when one of them cannot be ended.
func finishTogether(tx *gorm.DB, runs []models.DagRun, columns map[string]any) error {
	for attempt, ids := range byAttempt(runs) {
		for some := range slices.Chunk(ids, insertBatch) { // an engine takes so many values and no more
			ended := tx.Model(&models.DagRun{}).
				Where(withIDs(tx, some)).Where("clear_number = ? AND COALESCE(state, '') IN ?", attempt, unfinished).UpdateColumns(columns)
			if ended.Error != nil {
				return ended.Error
			}
			if ended.RowsAffected != int64(len(some)) {
				return errSome
			}
		}
	}
	return nil
}
