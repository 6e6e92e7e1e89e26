package repo

import (
	"iter"
	"slices"
	"time"

	"github.com/usher-go/usher/models"
)

// Interval is one date of a schedule: the data that its run is to work on. The run's logical
// date is Start, and it may not start before End.
type Interval struct {
	Start, End time.Time
}

// Schedule gives the dates of a backfill. Package schedule reads cron expressions; an
// application may have its own.
type Schedule interface {
	// Intervals are the schedule's intervals in the order of their starts, beginning with the
	// first whose start is not before from. There may be no end to them: the repository stops
	// when it has those that it wants.
	Intervals(from time.Time) iter.Seq[Interval]
}

// Dates is the schedule that has the given dates and no others. Each is an interval without
// extent, so its run may start at once. A date that is given twice counts once.
func Dates(dates ...time.Time) Schedule {
	var own ownDates
	for _, date := range dates {
		own = append(own, models.At(date).Time)
	}
	slices.SortFunc(own, time.Time.Compare)
	return slices.CompactFunc(own, time.Time.Equal)
}

// ownDates are dates in order, each once.
type ownDates []time.Time

// Intervals implements [Schedule].
func (dates ownDates) Intervals(from time.Time) iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		for _, date := range dates {
			if !date.Before(from) && !yield(Interval{date, date}) {
				return
			}
		}
	}
}
