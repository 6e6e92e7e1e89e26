//go:build cgo

package examples

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPipelineOnSQLite: three processes at once, with ten dates that were missed. Each date is
// extracted once and loaded once, one after the other, and none is left out.
func TestPipelineOnSQLite(t *testing.T) {
	c := newCrew(t, "./examples/pipeline")
	since := time.Now().UTC().Truncate(time.Second).Add(-10 * time.Second)
	for range 3 {
		c.start(nil, "-schedule", "@every 1s", "-since", since.Format(time.RFC3339))
	}
	c.until("the first 13 dates are loaded", func() bool {
		loaded, _ := c.executed("^load")
		for n := range 13 {
			if loaded["load "+since.Add(time.Duration(n)*time.Second).Format(time.RFC3339)] == 0 {
				return false
			}
		}
		return true
	})
	c.end()
	extracted, peak := c.executed("^extract")
	require.LessOrEqual(t, peak, 2+1, "of the backfill, and of the schedule")
	for extract, times := range extracted {
		require.Equal(t, 1, times, extract)
	}
	loaded, peak := c.executed("^load")
	require.Equal(t, 1, peak)
	for load, times := range loaded {
		extract := strings.Replace(load, "load", "extract", 1)
		require.Equal(t, []int{1, 1}, []int{times, extracted[extract]}, load)
		require.Less(t, strings.Index(c.text(), "ending "+extract), strings.Index(c.text(), "started "+load))
	}
}
