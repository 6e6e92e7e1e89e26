package schedule_test

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/schedule"
)

// dates are the local times of a schedule's dates on the days from one to another, both included.
func dates(t *testing.T, expression, zone, from, to string) (shown []string) {
	t.Helper()
	for _, i := range intervals(t, expression, zone, from, to) {
		shown = append(shown, i.Start.Format("02 15:04 MST"))
	}
	return shown
}

func intervals(t *testing.T, expression, zone, from, to string) (found []repo.Interval) {
	t.Helper()
	place, err := time.LoadLocation(zone)
	require.NoError(t, err)
	s, err := schedule.Parse(expression, place)
	require.NoError(t, err)
	begin, err := time.ParseInLocation(time.DateOnly, from, place)
	require.NoError(t, err)
	last, err := time.ParseInLocation(time.DateOnly, to, place)
	require.NoError(t, err)
	for i := range s.Intervals(begin) {
		require.False(t, i.Start.Before(begin))
		require.True(t, i.End.After(i.Start))
		if len(found) > 0 {
			require.Equal(t, found[len(found)-1].End.UTC(), i.Start.UTC(), "intervals have no gaps")
		}
		if !i.Start.Before(last.AddDate(0, 0, 1)) {
			break
		}
		found = append(found, repo.Interval{Start: i.Start.In(place), End: i.End.In(place)})
	}
	return found
}

func TestClockChanges(t *testing.T) {
	for _, c := range []struct {
		expression, zone, from, to string
		want                       []string
	}{
		// A time that the clocks skip.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28", "2026-03-30", []string{"28 02:30 CET", "29 03:30 CEST", "30 02:30 CEST"}},
		{"30 2 * * *", "America/New_York", "2026-03-07", "2026-03-09", []string{"07 02:30 EST", "08 03:30 EDT", "09 02:30 EDT"}},
		{"0,30 2,3 * * *", "Europe/Berlin", "2026-03-29", "2026-03-29", []string{"29 03:00 CEST", "29 03:30 CEST"}},
		{"0 */2 * * *", "Europe/Berlin", "2026-03-29", "2026-03-29", []string{
			"29 00:00 CET", "29 03:00 CEST", "29 04:00 CEST", "29 06:00 CEST", "29 08:00 CEST", "29 10:00 CEST",
			"29 12:00 CEST", "29 14:00 CEST", "29 16:00 CEST", "29 18:00 CEST", "29 20:00 CEST", "29 22:00 CEST",
		}},
		// A time that they show twice: the second, as in Airflow.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24", "2026-10-26", []string{"24 02:30 CEST", "25 02:30 CET", "26 02:30 CET"}},
		{"30 1 * * *", "America/New_York", "2026-10-31", "2026-11-02", []string{"31 01:30 EDT", "01 01:30 EST", "02 01:30 EST"}},
		{"0 1,2,3 * * *", "Europe/Berlin", "2026-10-25", "2026-10-25", []string{"25 01:00 CEST", "25 02:00 CET", "25 03:00 CET"}},
		// Midnights that do not exist, and a day that does not.
		{"@daily", "America/Sao_Paulo", "2018-11-03", "2018-11-05", []string{"03 00:00 -03", "04 01:00 -02", "05 00:00 -02"}},
		{"@daily", "Asia/Beirut", "2022-03-26", "2022-03-28", []string{"26 00:00 EET", "27 01:00 EEST", "28 00:00 EEST"}},
		{"@daily", "Pacific/Apia", "2011-12-29", "2012-01-01", []string{"29 00:00 -10", "31 00:00 +14", "01 00:00 +14"}},
		// A change of half an hour: what is skipped comes in its place among the others.
		{"20,35 2 * * *", "Australia/Lord_Howe", "2026-10-04", "2026-10-04", []string{"04 02:35 +11", "04 02:50 +11"}},
		{"0 0 13 * FRI", "UTC", "2026-02-01", "2026-02-28", []string{"06 00:00 UTC", "13 00:00 UTC", "20 00:00 UTC", "27 00:00 UTC"}},
	} {
		require.Equal(t, c.want, dates(t, c.expression, c.zone, c.from, c.to), "%s in %s", c.expression, c.zone)
	}
}

func TestHoursThatPass(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		hours     int
	}{
		{"Europe/Berlin", "2026-03-28", 24},
		{"Europe/Berlin", "2026-03-29", 23},
		{"Europe/Berlin", "2026-10-25", 25},
		{"America/New_York", "2026-03-08", 23},
		{"America/New_York", "2026-11-01", 25},
		{"America/Sao_Paulo", "2018-11-04", 23},
		{"Europe/Berlin", "2092-12-31", 24}, // see changeAfter
		{"UTC", "2026-03-29", 24},
	} {
		for _, expression := range []string{"@hourly", "0 * * * *", "0 0-23 * * *"} {
			found := intervals(t, expression, c.zone, c.day, c.day)
			require.Len(t, found, c.hours, "%s in %s on %s", expression, c.zone, c.day)
			for _, i := range found {
				require.Equal(t, time.Hour, i.End.Sub(i.Start))
			}
		}
		day := intervals(t, "@daily", c.zone, c.day, c.day)
		require.Len(t, day, 1)
		require.Equal(t, time.Duration(c.hours)*time.Hour, day[0].End.Sub(day[0].Start), "the day of %s in %s", c.day, c.zone)
	}
	require.Equal(t, []string{"25 02:00 CEST", "25 02:30 CEST", "25 02:00 CET", "25 02:30 CET", "25 03:00 CET"},
		dates(t, "*/30 * * * *", "Europe/Berlin", "2026-10-25", "2026-10-25")[4:9])
}

// TestEveryDay: over 30 years, in zones that are odd, a daily schedule has one date on each day that there is.
func TestEveryDay(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Europe/Dublin", "America/St_Johns"} {
		place, err := time.LoadLocation(zone)
		require.NoError(t, err)
		for _, expression := range []string{"@daily", "30 2 * * *"} {
			s, err := schedule.Parse(expression, place)
			require.NoError(t, err)
			days := map[string]int{}
			for i := range s.Intervals(time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)) {
				if i.Start.Year() == 2031 {
					break
				}
				days[i.Start.In(place).Format(time.DateOnly)]++
			}
			for day := time.Date(2000, 1, 3, 12, 0, 0, 0, place); day.Year() < 2030; day = day.Add(24 * time.Hour) {
				name := day.In(place).Format(time.DateOnly)
				require.Equal(t, 1, days[name], "%s in %s on %s", expression, zone, name)
			}
		}
	}
}

func TestDescriptors(t *testing.T) {
	for expression, want := range map[string][]string{
		"@daily":            {"01 00:00 UTC", "02 00:00 UTC"},
		"@midnight":         {"01 00:00 UTC", "02 00:00 UTC"},
		" 0  0 * * *\t":     {"01 00:00 UTC", "02 00:00 UTC"},
		"@every 12h":        {"01 00:00 UTC", "01 12:00 UTC", "02 00:00 UTC", "02 12:00 UTC"},
		"@every  30h":       {"01 00:00 UTC", "02 06:00 UTC"},
		"@weekly":           nil,
		"@monthly":          {"01 00:00 UTC"},
		"@yearly":           {"01 00:00 UTC"},
		"@annually":         {"01 00:00 UTC"},
		"15 6,18 1 jan mon": {"01 06:15 UTC", "01 18:15 UTC"},
	} {
		require.Equal(t, want, dates(t, expression, "UTC", "2024-01-01", "2024-01-02"), "%q", expression)
	}
	require.Equal(t, []string{"07 00:00 UTC"}, dates(t, "@weekly", "UTC", "2024-01-01", "2024-01-07"), "Sunday")
	every, err := schedule.Parse("@every 6h", nil)
	require.NoError(t, err)
	from := time.Date(2026, 3, 28, 21, 17, 3, 500, time.UTC)
	for i := range every.Intervals(from) {
		require.Equal(t, repo.Interval{Start: from, End: from.Add(6 * time.Hour)}, i, "it counts from the beginning, whatever the clocks show")
		break
	}
	in, err := schedule.Parse("@daily", nil)
	require.NoError(t, err)
	for i := range in.Intervals(from) {
		require.Equal(t, time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), i.Start)
		break
	}
}

// TestRare: what fires seldom or never comes to an end.
func TestRare(t *testing.T) {
	for _, expression := range []string{"0 0 30 2 *", "0 * 31 4,6,9,11 *", "* * 30 2 *"} {
		for _, zone := range []string{"UTC", "Europe/Berlin"} {
			place, err := time.LoadLocation(zone)
			require.NoError(t, err)
			s, err := schedule.Parse(expression, place)
			require.NoError(t, err)
			require.Empty(t, slices.Collect(s.Intervals(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))), expression)
		}
	}
	for _, expression := range []string{"0 0 29 2 *", "0 * 29 2 *"} {
		berlin, err := time.LoadLocation("Europe/Berlin")
		require.NoError(t, err)
		leap, err := schedule.Parse(expression, berlin)
		require.NoError(t, err)
		var years []int
		for i := range leap.Intervals(time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)) {
			if year := i.Start.In(berlin).Year(); !slices.Contains(years, year) {
				years = append(years, year)
			}
			if len(years) == 3 {
				break
			}
		}
		require.Equal(t, []int{2092, 2096, 2104}, years, expression)
	}
}

func TestRefusals(t *testing.T) {
	for _, none := range []string{"", "  ", "none", "None", "null", "@once", "@continuous", "asset", "@assets"} { // S52
		_, err := schedule.Parse(none, time.UTC)
		require.ErrorIs(t, err, repo.ErrNotPeriodic, "%q", none)
	}
	for _, bad := range []string{
		"* * * *", "0 0 * * * *", "0 0 1 1 * 2020", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "a b c d e", "@dayly", "@every", "@every x",
		"@every 0s", "@every -6h", "@every 1ms", "TZ=UTC 0 0 * * *", "CRON_TZ=UTC 0 0 * * *", "0 0 L * *", "H 0 * * *", "*/0 * * * *", "5-1/0 * * * *",
	} {
		_, err := schedule.Parse(bad, time.UTC)
		require.ErrorIs(t, err, repo.ErrInvalid, "%q", bad)
		require.NotContains(t, err.Error(), "%!", "%q", bad)
	}
}

func TestInstant(t *testing.T) {
	for _, c := range []struct{ zone, shown, want string }{
		{"Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T03:30:00+02:00"},
		{"Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T03:00:00+01:00"},
		{"Europe/Berlin", "2026-10-25T01:59:59", "2026-10-25T01:59:59+02:00"},
		{"America/Sao_Paulo", "2018-11-04T00:00:00", "2018-11-04T01:00:00-02:00"},
		{"Pacific/Apia", "2011-12-30T12:00:00", "2011-12-31T12:00:00+14:00"},
		{"UTC", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z"},
	} {
		zone, err := time.LoadLocation(c.zone)
		require.NoError(t, err)
		shown, err := time.Parse("2006-01-02T15:04:05", c.shown)
		require.NoError(t, err)
		require.Equal(t, c.want, schedule.Instant(shown, zone).In(zone).Format(time.RFC3339), "%s in %s", c.shown, c.zone)
	}
}
