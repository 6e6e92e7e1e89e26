package locking

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPause: a context that has ended is not waited out, however late the attempt.
func TestPause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, attempt := range []int{1, 12, 43, 60, 64, 1000} {
		for pause(ctx, attempt) == nil { // the random pause was over first
		}
		require.ErrorIs(t, pause(ctx, 1000), context.Canceled)
	}
	require.NoError(t, pause(t.Context(), 1))
}
