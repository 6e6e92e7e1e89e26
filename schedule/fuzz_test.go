package schedule_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/schedule"
)

// clocks are zones with changes of every sort: of an hour and of half of one, at midnight, of a
// day, backwards in summer, and none.
var clocks = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Europe/Dublin", "Africa/Casablanca", "Asia/Kathmandu"}

// somewhere is one of the zones, and a second in the years 1900 to 2100 there.
func somewhere(t *testing.T, zone uint8, second int64) time.Time {
	place, err := time.LoadLocation(clocks[int(zone)%len(clocks)])
	require.NoError(t, err)
	const first, last = -2208988800, 4102444800
	return time.Unix(first+(second%(last-first)+last-first)%(last-first), 0).In(place)
}

// FuzzSchedule: an expression is refused as usher refuses, or has intervals in order, without
// gaps and none before the range, and the dates of a cron expression do not depend on where the
// range begins.
func FuzzSchedule(f *testing.F) {
	for i, expression := range []string{
		"", "none", "@once", "@daily", "@hourly", "@weekly", "@monthly", "@yearly", "@every 6h", "@every 1ns", "@every -1h", "@every 999999h", "@reboot", "30 2 * * *", "*/5 * * * *", "0 0 29 2 *",
		"0 0 30 2 *", "0 0 13 * FRI", "0 0 * * 7", "60 * * * *", "* * * *", "* * * * * *", "TZ=UTC * * * * *", "0-59/0 * * * *", "5-1 * * * *", "0 0 L * *", "0 0 1W * *", "? ? ? ? ?", "* * * JAN-DEC SUN-SAT",
		"\x00 * * * *", "99999999999999999999 * * * *", "0 0 ٣ * *", "0 2,3 * 3,10 *", "H H * * *", "0 0 * * MON#2", "\t0\n0 * * *",
	} {
		f.Add(expression, uint8(i), int64(3_983_000_000+100_000*i))
	}
	f.Fuzz(func(t *testing.T, expression string, zone uint8, second int64) {
		from := somewhere(t, zone, second)
		s, err := schedule.Parse(expression, from.Location())
		if err != nil {
			for _, known := range []error{repo.ErrInvalid, repo.ErrNotPeriodic} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("%q: %v", expression, err)
		}
		var found []repo.Interval
		for i := range s.Intervals(from) {
			require.False(t, i.Start.Before(from))
			require.True(t, i.End.After(i.Start))
			if len(found) > 0 {
				require.True(t, i.Start.Equal(found[len(found)-1].End), "no gaps")
			}
			if found = append(found, i); len(found) == 10 {
				break
			}
		}
		for n := 1; n < len(found); n++ {
			for again := range s.Intervals(found[n].Start) {
				require.True(t, again.Start.Equal(found[n].Start) && again.End.Equal(found[n].End), "%q from %s: %v, not %v", expression, found[n].Start, again, found[n])
				break
			}
		}
	})
}

// FuzzInstant: around a clock change an instant is the last at which the clocks show the time, or,
// when they skip it, the one that shows a later time by what is skipped.
func FuzzInstant(f *testing.F) {
	for i := range clocks {
		for _, minutes := range []int16{-90, -60, -30, 0, 15, 59, 60, 90} {
			f.Add(uint8(i), int64(3_983_000_000), minutes)
		}
	}
	f.Fuzz(func(t *testing.T, zone uint8, second int64, minutes int16) {
		from := somewhere(t, zone, second)
		show := func(at time.Time) time.Time { // what they show, written as UTC
			_, offset := at.In(from.Location()).Zone()
			return at.UTC().Add(time.Duration(offset) * time.Second)
		}
		shown := show(from)
		if _, change := from.ZoneBounds(); !change.IsZero() {
			shown = show(change.Add(-time.Second)).Add(time.Second + time.Duration(minutes)*time.Minute)
		}
		at := schedule.Instant(shown, from.Location())
		if skipped := show(at).Sub(shown); skipped != 0 {
			require.Positive(t, skipped, "%s for %s", at, shown)
			require.LessOrEqual(t, skipped, 24*time.Hour)
		}
		for _, minutes := range []time.Duration{20, 30, 60, 120} {
			later := at.Add(minutes * time.Minute)
			require.False(t, show(later).Equal(shown), "%s shows it too", later)
		}
	})
}
