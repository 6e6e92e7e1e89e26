package models_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
)

// moments are instants of many kinds, in order.
var moments = []time.Time{
	time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(1899, 12, 31, 23, 59, 59, 999999999, time.UTC),
	time.Date(1969, 12, 31, 23, 59, 59, 999999400, time.UTC),
	time.Unix(0, 0),
	time.Date(2024, 2, 29, 12, 0, 0, 1000, time.UTC),
	time.Date(2026, 3, 8, 1, 59, 59, 123456789, time.FixedZone("", -5*60*60)),
	time.Date(2026, 3, 8, 12, 30, 0, 500000, time.FixedZone("", 5*60*60+30*60)),
	time.Date(2026, 10, 25, 2, 30, 0, 999999999, time.FixedZone("CEST", 2*60*60)),
	time.Date(2026, 10, 25, 2, 30, 0, 0, time.FixedZone("CET", 60*60)),
	time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
}

func timesReadBack(v *values) {
	for i, m := range append(moments, time.Now()) {
		id := int64(i + 1)
		require.NoError(v, v.db.Create(&value{ID: id, At: models.At(m)}).Error)
		var read value
		require.NoError(v, v.db.Take(&read, id).Error)
		require.Equal(v, models.At(m), read.At)
		require.True(v, m.Truncate(time.Microsecond).Equal(read.At.Time), "%v read back as %v", m, read.At)
		require.NoError(v, v.db.Where("happened_at = ?", models.At(m)).Take(&value{}, id).Error)
	}
	// A literal that was not made by At is cut as well, and so is one in a map.
	odd := models.Time{Time: moments[5]}
	require.NoError(v, v.db.Create(&value{ID: 100, At: odd}).Error)
	require.NoError(v, v.db.Create(&value{ID: 101}).Error)
	require.NoError(v, v.db.Model(&value{ID: 101}).UpdateColumns(map[string]any{"happened_at": odd}).Error)
	var read []models.Time
	require.NoError(v, v.db.Model(&value{}).Where("id >= 100").Order("id").Pluck("happened_at", &read).Error)
	require.Equal(v, []models.Time{models.At(odd.Time), models.At(odd.Time)}, read)
}

// timesCompare: the engine orders times as they are ordered, whatever zone they were given in.
func timesCompare(v *values) {
	for i := range moments {
		m := moments[(i*7+3)%len(moments)] // in another order
		require.NoError(v, v.db.Create(&value{At: models.At(m)}).Error)
	}
	var read []models.Time
	require.NoError(v, v.db.Model(&value{}).Order("happened_at").Pluck("happened_at", &read).Error)
	require.Len(v, read, len(moments))
	for i, m := range moments {
		require.Equal(v, models.At(m), read[i])
		var before, until int64
		here := models.Time{Time: m.In(time.FixedZone("", 11*60*60))}
		require.NoError(v, v.db.Model(&value{}).Where("happened_at < ?", here).Count(&before).Error)
		require.NoError(v, v.db.Model(&value{}).Where("happened_at <= ?", here).Count(&until).Error)
		require.Equal(v, []int64{int64(i), int64(i + 1)}, []int64{before, until}, m)
	}
}

// noTime: the zero value is NULL, both ways.
func noTime(v *values) {
	require.NoError(v, v.db.Create(&value{ID: 1}).Error)
	require.NoError(v, v.db.Where("happened_at IS NULL").Take(&value{}, 1).Error)
	var read value
	require.NoError(v, v.db.Take(&read, 1).Error)
	require.Equal(v, models.Time{}, read.At)
	require.NoError(v, v.db.Model(&value{ID: 1}).UpdateColumns(map[string]any{"happened_at": models.At(moments[4])}).Error)
	require.NoError(v, v.db.Model(&value{ID: 1}).UpdateColumns(map[string]any{"happened_at": models.Time{}}).Error)
	require.NoError(v, v.db.Where("happened_at IS NULL").Take(&value{}, 1).Error)
}

// timesOutsideGORM: database/sql scans what the driver makes of the column.
func timesOutsideGORM(v *values) {
	require.NoError(v, v.db.Create(&value{ID: 1, At: models.At(moments[5])}).Error)
	require.NoError(v, v.db.Create(&value{ID: 2}).Error)
	pool, err := v.db.DB()
	require.NoError(v, err)
	var read, none models.Time
	require.NoError(v, pool.QueryRowContext(v.Context(), "SELECT happened_at FROM kept WHERE id = 1").Scan(&read))
	require.NoError(v, pool.QueryRowContext(v.Context(), "SELECT MAX(happened_at) FROM kept WHERE id = 2").Scan(&none))
	require.Equal(v, []models.Time{models.At(moments[5]), {}}, []models.Time{read, none})
}

// uniqueLogicalDate: the same instant from two zones is one date of a DAG; no date is as many as one likes.
func uniqueLogicalDate(v *values) {
	require.NoError(v, v.db.AutoMigrate(models.All()...))
	run := func(id string, at models.Time) error {
		return v.db.Create(&models.DagRun{DagID: "d", RunID: id, LogicalDate: at, RunAfter: models.At(moments[4])}).Error
	}
	m := moments[5]
	require.NoError(v, run("one", models.At(m)))
	require.Error(v, run("two", models.Time{Time: m.In(time.FixedZone("", 3*60*60))}))
	require.NoError(v, run("three", models.At(m.Add(time.Microsecond))))
	require.NoError(v, run("four", models.Time{}))
	require.NoError(v, run("five", models.Time{}))
	var n int64
	require.NoError(v, v.db.Model(&models.DagRun{}).Where("logical_date IS NULL").Count(&n).Error)
	require.EqualValues(v, 2, n)
}

func TestTimeScan(t *testing.T) {
	want := models.At(moments[5])
	for _, raw := range []any{moments[5], []byte("2026-03-08 06:59:59.123456"), "2026-03-08T06:59:59.123456Z", "2026-03-08 01:59:59.123456789-05:00"} {
		var got models.Time
		require.NoError(t, got.Scan(raw), raw)
		require.Equal(t, want, got, raw)
	}
	var counted models.Time
	require.NoError(t, counted.Scan(want.Unix()), "seconds, as SQLite's own functions count")
	require.Equal(t, want.Truncate(time.Second), counted.Time)
	for _, none := range []any{nil, time.Time{}, "", []byte{}, "infinity", "-infinity"} {
		got := want
		require.NoError(t, got.Scan(none))
		require.Equal(t, models.Time{}, got)
	}
	for _, wrong := range []any{true, "yesterday", []byte("0000-00-00 00:00:00")} {
		require.Error(t, new(models.Time).Scan(wrong), wrong)
	}
}

func TestTimeJSON(t *testing.T) {
	text, err := json.Marshal([]models.Time{{Time: moments[5]}, {}})
	require.NoError(t, err)
	require.JSONEq(t, `["2026-03-08T06:59:59.123456Z", null]`, string(text))
	var read []models.Time
	require.NoError(t, json.Unmarshal([]byte(`["2026-03-08T01:59:59.123456789-05:00", null]`), &read))
	require.Equal(t, []models.Time{models.At(moments[5]), {}}, read)
	require.Error(t, json.Unmarshal([]byte(`["noon"]`), &read))
}

func TestTimeValue(t *testing.T) {
	sent, err := models.Time{Time: moments[5]}.Value()
	require.NoError(t, err)
	require.Equal(t, models.At(moments[5]).Time, sent)
	sent, err = models.Time{}.Value()
	require.NoError(t, err)
	require.Nil(t, sent)
	require.Equal(t, models.Time{}, models.At(time.Time{}.In(time.FixedZone("", 3600))))
}
