package schedule

import (
	"iter"
	"time"

	"github.com/netresearch/go-cron"

	"github.com/usher-go/usher/repo"
)

// clock is a cron expression by the clocks of a zone. The parser's own way through clock
// changes gives some times twice, so the expression is asked for the times that clocks show,
// written as if they were UTC, and what they mean in the zone is worked out here.
type clock struct {
	spec *cron.SpecSchedule // in UTC
	zone *time.Location
}

// Intervals implements [repo.Schedule].
func (c clock) Intervals(from time.Time) iter.Seq[repo.Interval] {
	return func(yield func(repo.Interval) bool) {
		var start time.Time
		for end := range c.dates(from) {
			if !start.IsZero() && !yield(repo.Interval{Start: start, End: end}) {
				return
			}
			start = end
		}
	}
}

// allHours are the bits of the hours of a day.
const allHours = 1<<24 - 1

// dates are the expression's instants in order, none before from.
func (c clock) dates(from time.Time) iter.Seq[time.Time] {
	if c.spec.Hour&allHours == allHours {
		return c.everyShown(from)
	}
	return c.onceEach(from)
}

// shown are the times of the expression as clocks show them, from one on.
func (c clock) shown(from time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for at := c.spec.Next(from.Add(-1)); !at.IsZero() && yield(at); {
			at = c.spec.Next(at)
		}
	}
}

// everyShown are all the instants at which the clocks show a time of the expression: in each
// period between two clock changes those that fit.
func (c clock) everyShown(from time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for {
			offset := offsetOf(from, c.zone)
			change := changeAfter(from, c.zone)
			never := true
			for shown := range c.shown(from.UTC().Add(offset)) {
				at := shown.Add(-offset)
				never = false
				if !change.IsZero() && !at.Before(change) {
					break
				}
				if !yield(at) {
					return
				}
			}
			if never || change.IsZero() {
				return
			}
			from = change
		}
	}
}

// onceEach are the instants of the expression, one for each time that it names.
func (c clock) onceEach(from time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		var last time.Time
		give := func(at time.Time) bool {
			if at.Before(from) || !last.IsZero() && !at.After(last) {
				return true
			}
			last = at
			return yield(at)
		}
		var skipped []time.Time // by the clocks: they come among the times after the change
		for shown := range c.shown(from.UTC().Add(-longestSkip)) {
			at, exists := instant(shown, c.zone)
			if !exists {
				skipped = append(skipped, at)
				continue
			}
			for len(skipped) > 0 && !skipped[0].After(at) {
				if !give(skipped[0]) {
					return
				}
				skipped = skipped[1:]
			}
			if !give(at) {
				return
			}
		}
	}
}

// longestSkip is more than any zone is off UTC and has skipped at once: a day, in Samoa in 2011.
const longestSkip = 48 * time.Hour

// Instant is when the clocks of a zone show what shown has as its date and time, whatever its
// own zone. Of two such instants it is the second. If there is none, because the clocks skip
// the time, it is the one that there would have been without the change. A schedule has its
// dates at the same instants.
func Instant(shown time.Time, zone *time.Location) time.Time {
	at, _ := instant(shown, zone)
	return at
}

// instant is [Instant], and tells whether the clocks show the time.
func instant(shown time.Time, zone *time.Location) (at time.Time, exists bool) {
	year, month, day := shown.Date()
	shown = time.Date(year, month, day, shown.Hour(), shown.Minute(), shown.Second(), shown.Nanosecond(), time.UTC)
	at = time.Date(year, month, day, shown.Hour(), shown.Minute(), shown.Second(), shown.Nanosecond(), zone)
	offset := offsetOf(at, zone)
	if at.Add(offset).Before(shown) { // skipped, and Go has taken the offset after the change
		return shown.Add(-offset).UTC(), false
	}
	if at.Add(offset).After(shown) {
		return at.UTC(), false
	}
	if change := changeAfter(at, zone); !change.IsZero() {
		if second := shown.Add(-offsetOf(change, zone)); !second.Before(change) {
			return second, true
		}
	}
	return at.UTC(), true
}

// changeAfter is when the zone's clocks are changed next, or a time at which they could have
// been; the zero time if they never are. On 31 December of leap years to come, Go says that
// the period has ended before it began, so it is asked again for a later time.
func changeAfter(at time.Time, zone *time.Location) time.Time {
	for later := at; ; later = later.Add(time.Hour) {
		if _, change := later.In(zone).ZoneBounds(); change.IsZero() || change.After(at) {
			return change
		}
	}
}

// offsetOf is what the clocks of a zone are ahead of UTC at an instant.
func offsetOf(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}
