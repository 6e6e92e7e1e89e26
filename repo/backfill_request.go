package repo

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/usher-go/usher/models"
)

// maxDates bounds the dates of one backfill: they are in memory, and go into one transaction.
const maxDates = 1_000_000

// maxUser is the length of a user's name in characters, as its column has it.
const maxUser = 512

// BackfillRequest is what [Repo.CreateBackfill] is to make.
type BackfillRequest struct {
	// DagID is the DAG.
	DagID string
	// From and To are the first and the last logical date that there may be, both included, of
	// the years 1000 to 9999. With [Dates] they default to the first and the last of those.
	From, To time.Time
	// Schedule gives the dates between them, a million at most. Those whose interval is not over
	// yet are left out.
	Schedule Schedule
	// MaxActiveRuns limits how many of the backfill's runs run at a time. 0 means the default, 10;
	// see [Repo.LimitBackfill] for a backfill that starts nothing.
	MaxActiveRuns int
	// Reverse has the runs start with the last date.
	Reverse bool
	// Reprocess says what becomes of a date that has a run. Defaults to none: it is skipped.
	Reprocess models.ReprocessBehavior
	// Conf is the configuration of each run. NULL leaves that of a run that is queued again.
	Conf models.JSON
	// User is the name of the user who asks for it. Defaults to none.
	User string
	// Paused makes the backfill paused.
	Paused bool
}

// prepare checks a request in Airflow's order, fills in its defaults, and returns its dates
// that are over by now. It runs before the transaction: a schedule may take its time.
func (r *Repo) prepare(ctx context.Context, q BackfillRequest) (BackfillRequest, []Interval, error) {
	if _, err := r.Dag(ctx, q.DagID); err != nil {
		return q, nil, err
	}
	if q.Schedule == nil {
		return q, nil, fmt.Errorf("%w: the request has no schedule", ErrNotPeriodic)
	}
	now, err := r.read(r.db.WithContext(ctx))
	if err != nil {
		return q, nil, err
	}
	q.fillDates()
	if err := cmp.Or(q.checkDates(now), q.checkRest()); err != nil {
		return q, nil, err
	}
	q.MaxActiveRuns = cmp.Or(q.MaxActiveRuns, models.DefaultBackfillMaxActiveRuns)
	q.Reprocess = cmp.Or(q.Reprocess, models.ReprocessNone)
	intervals, err := q.intervals(ctx, now)
	return q, intervals, err
}

// fillDates takes the range that is not given from the list of dates, if it is one.
func (q *BackfillRequest) fillDates() {
	if dates, ok := q.Schedule.(ownDates); ok && len(dates) > 0 {
		if q.From.IsZero() {
			q.From = dates[0]
		}
		if q.To.IsZero() {
			q.To = dates[len(dates)-1]
		}
	}
	q.From, q.To = models.At(q.From).Time, models.At(q.To).Time
}

func (q *BackfillRequest) checkDates(now models.Time) error {
	from, to := isoformat(models.At(q.From)), isoformat(models.At(q.To))
	switch {
	case q.From.After(q.To):
		return fmt.Errorf("%w: from %s to %s", ErrDateOrder, from, to)
	case q.From.Year() < 1000 || q.To.Year() > 9999:
		return fmt.Errorf("%w range from %s to %s: give both, of the years 1000 to 9999", ErrInvalid, from, to)
	case !q.From.Before(now.Time) && !q.To.Before(now.Time):
		return fmt.Errorf("%w: from %s to %s, and it is %s", ErrFuture, from, to, isoformat(now))
	}
	return nil
}

func (q *BackfillRequest) checkRest() (err error) {
	if q.Reprocess != "" && q.Reprocess != models.ReprocessNone && q.Reprocess != models.ReprocessFailed && q.Reprocess != models.ReprocessCompleted {
		return fmt.Errorf("%w reprocess behaviour %q: use none, failed or completed", ErrInvalid, q.Reprocess)
	}
	if len(q.Conf) > 0 {
		if q.Conf, err = models.ParseJSON(string(q.Conf)); err != nil {
			return fmt.Errorf("%w conf: %w", ErrInvalid, err)
		}
	}
	if !utf8.ValidString(q.User) || strings.ContainsRune(q.User, 0) || utf8.RuneCountInString(q.User) > maxUser {
		return fmt.Errorf("%w user: give at most %d characters of UTF-8 without NUL", ErrInvalid, maxUser)
	}
	return checkLimit(q.MaxActiveRuns)
}

// intervals are the schedule's intervals in the range that end before now.
func (q *BackfillRequest) intervals(ctx context.Context, now models.Time) (over []Interval, err error) {
	last := models.At(q.From.Add(-time.Microsecond))
	seen := 0
	for i := range q.Schedule.Intervals(q.From) {
		start, end := models.At(i.Start), models.At(i.End)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !start.After(last.Time) || end.Before(start.Time):
			return nil, fmt.Errorf("%w schedule: its interval from %s to %s is not after that of %s", ErrInvalid, isoformat(start), isoformat(end), isoformat(last))
		case start.After(q.To) || !start.Before(now.Time):
			return over, nil
		case seen == maxDates:
			return nil, fmt.Errorf("%w range: it has more than %d dates; make several backfills of shorter ranges", ErrInvalid, maxDates)
		}
		if end.Before(now.Time) {
			over = append(over, Interval{start.Time, end.Time})
		}
		last = start
		seen++
	}
	return over, nil
}
