package tests

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// most is how many statements a pass may take, but for BEGIN and COMMIT: the hint, a hold and
// a fence for each kind of gate, the capacity, two queues, the change and the reading of it.
const most = 1 + 2*2 + 1 + 2 + 1 + 1

// statementsOf counts the statements of a pass that starts all of n runs in each of so many gates of a kind.
func (w *world) statementsOf(prefix string, gates, n, limit int) int {
	for i := range gates {
		id := fmt.Sprintf("%s%03d", prefix, i)
		w.dag(id, limit)
		w.queue(id, n, past, time.Hour)
		w.backfill(id, limit, n)
	}
	r, t := w.traced()
	_, err := w.repo(repo.WithRunsPerPass(1)).Admit(w.ctx) // not counted
	require.NoError(w, err)
	w.requeueAll()
	_, err = r.Admit(w.ctx)
	require.NoError(w, err)
	first := len(t.statements) // with the choice of a place in the ring
	w.requeueAll()
	runs, err := r.Admit(w.ctx)
	require.NoError(w, err)
	require.Len(w, runs, 2*gates*min(n, limit))
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("1 = 1").UpdateColumn("state", models.Success).Error)
	return len(t.statements) - first
}

var statements = []testCase{
	{"the number of statements depends on neither runs nor gates", func(w *world) {
		one := w.statementsOf("a", 1, 1, 1)
		require.LessOrEqual(w, one, most)
		require.Equal(w, one, w.statementsOf("b", 1, 60, 60), "many runs")
		require.Equal(w, one, w.statementsOf("c", 40, 1, 1), "many gates")
		require.Equal(w, one, w.statementsOf("d", 40, 6, 5), "both")
	}},
	{"nor does it when the gates have more room than runs", func(w *world) {
		one := w.statementsOf("a", 1, 1, 9)
		require.LessOrEqual(w, one, most)
		require.Equal(w, one, w.statementsOf("b", 30, 5, 9))
	}},
}
