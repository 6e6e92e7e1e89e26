package dialect_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/dialect"
)

func TestColumnTypes(t *testing.T) {
	for name, want := range map[named][2]string{"postgres": {"timestamptz", "jsonb"}, "mysql": {"datetime(6)", "json"}, "sqlite": {"datetime", "text"}} {
		require.Equal(t, want, [2]string{dialect.TimeType(name), dialect.JSONType(name)})
	}
}

func TestTimeValue(t *testing.T) {
	at := time.Date(2026, 3, 8, 1, 59, 59, 123456789, time.FixedZone("", -5*60*60))
	require.Equal(t, "2026-03-08 06:59:59.123456", dialect.TimeValue(named("sqlite"), at))
	require.Equal(t, time.Date(2026, 3, 8, 6, 59, 59, 123456000, time.UTC), dialect.TimeValue(named("postgres"), at))
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 3, 8, 6, 59, 59, 123456000, time.UTC)
	for _, text := range []string{
		"2026-03-08 06:59:59.123456", "2026-03-08T06:59:59.123456Z", "2026-03-08T01:59:59.123456-05:00",
		"2026-03-08 06:59:59.123456+00:00", "2026-03-08 12:29:59.123456+05:30", "2026-03-08 06:59:59.123456000",
	} {
		got, err := dialect.ParseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	whole, err := dialect.ParseTime("2026-03-08 06:59:59")
	require.NoError(t, err)
	require.Equal(t, want.Truncate(time.Second), whole)
	for _, text := range []string{"", "now", "2026-03-08", "2026-13-08 06:59:59"} {
		_, err := dialect.ParseTime(text)
		require.Error(t, err, text)
	}
}
