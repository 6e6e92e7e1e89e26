package tests

import (
	"context"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// holding runs do while another transaction holds a gate.
func (w *world) holding(g repo.Gate, do func()) {
	if g.Kind == repo.BackfillGate {
		holdingRows(w, locking.Rows{Model: &models.Backfill{}, Fence: "fence"}, g.BackfillID, do)
	} else {
		holdingRows(w, locking.Rows{Model: &models.Dag{}, Fence: "fence"}, g.DagID, do)
	}
}

// holdingRows runs do while another transaction holds the row with a key.
func holdingRows[K any](w *world, rows locking.Rows, key K, do func()) {
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	other := w.d.Open(w)
	go func() {
		_, err := locking.InTx(w.ctx, other, func(tx *gorm.DB) (struct{}, error) {
			_, err := locking.Hold(tx, rows, []K{key})
			close(held)
			<-release
			return struct{}{}, err
		})
		ended <- err
	}()
	<-held
	do()
	close(release)
	require.NoError(w, <-ended)
}

// whileOthersWork is as long as many statements of others take, so that one that does not wait
// would be over by then.
func (w *world) whileOthersWork() {
	other := w.d.Open(w)
	for range 300 {
		require.NoError(w, other.Take(&models.Dag{}, "dag_id = ?", "d").Error)
	}
}

var heldGates = []testCase{
	{"S16 S17 a held gate is passed over without waiting, and served afterwards", func(w *world) {
		if !w.d.RowLocks {
			singleWriter(w)
			return
		}
		w.dag("d", 1)
		w.queue("d", 3, past, 0)
		b := w.backfill("d", 3, 5)
		w.holding(b, func() { // a pass that waited for the gate would wait for ever, and the test fail by its time limit
			w.passes(2)
			w.running(map[repo.Gate]int{dagGate("d"): 1, b: 0})
			for range w.r.AdmitAll(w.ctx) {
				require.Fail(w, "there was nothing that could start")
			}
		})
		w.pass()
		w.running(map[repo.Gate]int{dagGate("d"): 1, b: 3})
		require.Equal(w, 2, w.count(b, models.Queued))
		w.dag("e", 1)
		w.queue("e", 3, past, 0)
		w.holding(dagGate("e"), func() { require.Empty(w, w.passes(2)) })
		require.Len(w, w.pass(), 1)
	}},
	{"a change of settings waits for the pass that holds the gate", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 3, 5)
		paused := make(chan error, 1)
		for _, g := range []repo.Gate{dagGate("d"), b} {
			w.holding(g, func() {
				go func() {
					_, err := w.r.SetDag(w.ctx, "d", repo.Paused(true))
					paused <- err
				}()
				w.whileOthersWork()
				require.Empty(w, paused, "it must not have returned")
			})
			require.NoError(w, <-paused)
			w.set("d", repo.Paused(false))
		}
	}},
	{"a cancelled pass starts nothing and says why", func(w *world) {
		w.dag("d", 3)
		w.queue("d", 3, past, 0)
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		runs, err := w.r.Admit(ctx)
		require.ErrorIs(w, err, context.Canceled)
		require.Empty(w, runs)
		require.Equal(w, 3, w.count(dagGate("d"), models.Queued))
		require.Len(w, w.pass(), 3)
	}},
}

// singleWriter is what S16 means where only one transaction can write: the pass waits for it,
// and starts what it may once it is over.
func singleWriter(w *world) {
	w.dag("d", 1)
	b := w.backfill("d", 3, 5)
	admitted := make(chan error, 1)
	w.holding(b, func() {
		go func() {
			_, err := w.r.Admit(w.ctx)
			admitted <- err
		}()
		w.running(map[repo.Gate]int{b: 0})
	})
	require.NoError(w, <-admitted)
	w.running(map[repo.Gate]int{b: 3})
	require.Equal(w, 2, w.count(b, models.Queued))
}

// leftOpen is for engines whose drivers give a connection out again on which a transaction is open.
var leftOpen = []testCase{
	{"a transaction that was left open on a connection is rolled back", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 2, past, 0)
		db := w.oneConnection()
		r, err := repo.New(db)
		require.NoError(w, err)
		require.NoError(w, db.Exec("START TRANSACTION").Error)
		require.NoError(w, db.Exec("UPDATE dag SET max_active_runs = 2").Error)
		runs, err := r.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 1, "the limit is what it was")
		w.running(map[repo.Gate]int{dagGate("d"): 1})
	}},
}
