package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
)

// The demo must be able to fail: a peak above the limit, with the gate, is an error.
func TestDemoFailsWhenTheGateLetTooManyIn(t *testing.T) {
	moments := []exercise.Moment{{At: 1, Running: 1}, {At: 2, Running: 2}}
	for peak, failed := range map[int]bool{1: false, 2: false, 3: true} {
		var stdout, stderr bytes.Buffer
		d := demo{app: &app{stdout: &stdout, stderr: &stderr}, limit: 2, chart: filepath.Join(t.TempDir(), "chart.svg")}
		err := d.report(outcomeOfRace{peak: 5, moments: moments}, outcomeOfRace{peak: peak, moments: moments}, result{PeakWith: peak})
		require.Equal(t, failed, err != nil, "peak %d", peak)
		require.Contains(t, stdout.String(), "peak with")
	}
}
