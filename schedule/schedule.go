// Package schedule reads schedules as people write them: cron expressions and their
// shorthands, in a time zone.
//
// It is responsible for the dates and data intervals that a schedule has, on days with a
// clock change too. What becomes of the dates is package repo's. Start with [Parse].
package schedule

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	"github.com/usher-go/usher/repo"
)

// notPeriodic are the schedules, as Airflow names them, that have no dates of their own.
var notPeriodic = []string{"", "none", "null", "@none", "@once", "@continuous", "asset", "assets", "@asset", "@assets", "dataset", "datasets"}

// rarest is more than the years between two dates of any expression that has dates: eight for
// 29 February around 2100.
const rarest = 10

// Parse reads a schedule in a time zone; nil is UTC. It may be
//
//   - a cron expression of five fields, such as 30 2 * * MON-FRI, where a day fits that fits
//     the day of the month or the day of the week, if both are given;
//   - @hourly, @daily, @midnight, @weekly (on Sunday), @monthly, @yearly or @annually;
//   - @every with a duration of Go's of at least a second, such as @every 6h, which counts
//     from the beginning of the range of dates, and has nothing to do with clocks.
//
// A run is for the interval from one date to the next. A clock change is treated as in
// Airflow. An expression that names every hour has a date for each hour that passes, so a day
// may have 23 or 25. Any other has one date for each time that it names: a time that the
// clocks skip is at the instant that it would have had without the change, and of a time that
// they show twice it is the second.
//
// It returns [repo.ErrNotPeriodic] for @once, @continuous, none, assets and the empty string,
// or [repo.ErrInvalid].
func Parse(expression string, zone *time.Location) (repo.Schedule, error) {
	text := strings.Join(strings.Fields(expression), " ")
	if slices.Contains(notPeriodic, strings.ToLower(text)) {
		return nil, fmt.Errorf("read schedule: %w: %q", repo.ErrNotPeriodic, expression)
	}
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		return parseEvery(every)
	}
	if strings.Contains(text, "=") {
		return nil, fmt.Errorf("read schedule: %w expression %q: give the time zone apart from it", repo.ErrInvalid, expression)
	}
	parser := cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w expression %q: %w; write five fields such as 30 2 * * MON-FRI, or @daily, @hourly, @weekly, @monthly, @yearly or @every 6h", repo.ErrInvalid, expression, err)
	}
	if zone == nil {
		zone = time.UTC
	}
	spec := parsed.(*cron.SpecSchedule) // as all is but @every
	spec.Location, spec.MaxSearchYears = time.UTC, rarest
	return clock{spec, zone}, nil
}

// every is a schedule of steps of equal length.
type every time.Duration

func parseEvery(text string) (repo.Schedule, error) {
	step, err := time.ParseDuration(text)
	if err != nil || step < time.Second {
		return nil, fmt.Errorf("read schedule: %w duration %q: @every wants one of at least a second, such as 6h or 1h30m", repo.ErrInvalid, text)
	}
	return every(step), nil
}

// Intervals implements [repo.Schedule].
func (e every) Intervals(from time.Time) iter.Seq[repo.Interval] {
	return func(yield func(repo.Interval) bool) {
		for end := from.Add(time.Duration(e)); yield(repo.Interval{Start: from, End: end}); end = from.Add(time.Duration(e)) {
			from = end
		}
	}
}
