package models_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
)

// FuzzTimeScan: text is a time or is refused, and a time reads back the same, also as JSON.
func FuzzTimeScan(f *testing.F) {
	for _, text := range []string{
		"", "2024-01-01", "2024-01-01 00:00:00", "2024-01-01T00:00:00Z", "2024-02-29 23:59:59.999999999+14:00", "2024-01-01 00:00:00 +0000 UTC", "2026-03-08 01:59:59.123456 -0500 EST m=+4.2",
		"0000-00-00 00:00:00", "infinity", "-infinity", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "12345-01-01", "1704067200", "2024-13-01", "\x00", "2024-01-01 00:00:00.1234567890123",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var read, again models.Time
		if err := read.Scan(text); err != nil {
			return
		}
		require.Equal(t, read, models.At(read.Time), "UTC, to the microsecond")
		value, err := read.Value()
		require.NoError(t, err)
		require.NoError(t, again.Scan(value))
		require.Equal(t, read, again)
		if year := read.Year(); year < 0 || year > 9999 {
			return
		}
		out, err := json.Marshal(read)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(out, &again))
		require.Equal(t, read, again)
		if !read.IsZero() {
			require.NoError(t, again.Scan(read.Format("2006-01-02 15:04:05.000000-07:00")))
			require.Equal(t, read.Round(time.Microsecond), again.Round(time.Microsecond))
		}
	})
}

// FuzzParseJSON: a document is refused or has one form, which every way of reading and writing keeps.
func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{
		"", "null", "{}", `{"b":1,"a":[1.0,1e2,-0,1e400,18446744073709551615,18446744073709551616]}`, `{"a":1,"a":2}`, `"\u0000"`, `"\ud800"`, `"😀 \\ \" '"`, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		"{} {}", "{\"a\":\xff}", "1e-400", "-0.0", "0.1", `{"<>&": "\u2028"}`, " true ", "9007199254740993", "1E5", "123456789012345678901234567890",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := models.ParseJSON(text)
		if err != nil {
			var kept models.JSON
			require.NoError(t, kept.Scan(text), "what others stored is kept")
			return
		}
		again, err := models.ParseJSON(string(read))
		if read == nil {
			require.NotEmpty(t, text)
			return
		}
		require.NoError(t, err)
		require.Equal(t, string(read), string(again), "one form")
		require.True(t, json.Valid(read))
		value, err := read.Value()
		require.NoError(t, err)
		var scanned, decoded models.JSON
		require.NoError(t, scanned.Scan(value))
		require.Equal(t, read, scanned)
		out, err := json.Marshal(read)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(out, &decoded))
		require.Equal(t, string(read), string(decoded))
	})
}
