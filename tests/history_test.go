package tests

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// turn is what a scheduler did at a gate: took slots for runs, or gave one back.
type turn struct {
	gate  repo.Gate
	takes bool
	runs  []int64
}

// semaphore is the specification of the gates: at most so many runs at a time, and each run once.
// The state is the runs that hold a slot, in order.
func semaphore(limits map[repo.Gate]int) porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			of := map[repo.Gate][]porcupine.Operation{}
			for _, o := range history {
				g := o.Input.(turn).gate
				of[g] = append(of[g], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range of {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return []int64(nil) },
		Step: func(state, input, _ any) (bool, any) {
			holding, t := slices.Clone(state.([]int64)), input.(turn)
			for _, id := range t.runs {
				at, holds := slices.BinarySearch(holding, id)
				if holds == t.takes {
					return false, state
				}
				if t.takes {
					holding = slices.Insert(holding, at, id)
				} else {
					holding = slices.Delete(holding, at, at+1)
				}
			}
			return len(holding) <= limits[t.gate], holding
		},
		Equal: func(a, b any) bool { return slices.Equal(a.([]int64), b.([]int64)) },
		DescribeOperation: func(input, _ any) string {
			t := input.(turn)
			return fmt.Sprint(map[bool]string{true: "start ", false: "finish "}[t.takes], t.runs)
		},
	}
}

// historian writes down who did what, and between which moments.
type historian struct {
	mu      sync.Mutex
	began   time.Time
	history []porcupine.Operation
	ended   int
}

func (h *historian) note(client int, call time.Duration, t turn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.history = append(h.history, porcupine.Operation{ClientId: client, Input: t, Call: int64(call), Return: int64(time.Since(h.began))})
	if !t.takes {
		h.ended += len(t.runs)
	}
}

func (h *historian) done() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}

// scheduler admits and finishes until so many runs have ended.
func (h *historian) scheduler(ctx context.Context, client, total int, r *repo.Repo, admit admit) error {
	for h.done() < total {
		call := time.Since(h.began)
		runs, err := admit(ctx)
		if err != nil && !errors.Is(err, locking.ErrContention) {
			return err
		}
		started := map[repo.Gate][]int64{}
		for _, run := range runs {
			started[repo.GateOf(run)] = append(started[repo.GateOf(run)], run.ID)
		}
		for g, ids := range started {
			h.note(client, call, turn{g, true, ids})
		}
		for _, run := range runs {
			call := time.Since(h.began)
			for err = locking.ErrContention; errors.Is(err, locking.ErrContention); {
				err = r.Finish(ctx, run, models.Success)
			}
			if err != nil {
				return err
			}
			h.note(client, call, turn{repo.GateOf(run), false, []int64{run.ID}})
		}
		if len(runs) == 0 {
			select {
			case <-time.After(rand.N(5 * time.Millisecond)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// record lets schedulers compete, and returns what each did.
func (w *world) record(limits map[repo.Gate]int, how func(*repo.Repo) admit) []porcupine.Operation {
	var total int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Count(&total).Error)
	h := &historian{began: time.Now()}
	failures := make([]error, schedulers)
	var all sync.WaitGroup
	for i := range schedulers {
		r := w.repo()
		all.Go(func() { failures[i] = h.scheduler(w.ctx, i, int(total), r, how(r)) })
	}
	all.Wait()
	require.NoError(w, errors.Join(failures...))
	return h.history
}

func linearizable(w *world) {
	operations, times := 0, 1
	if prove() {
		times = 20
	}
	for range times {
		w.db.Where("1 = 1").Delete(&models.DagRun{})
		limits := mixedContest(w)
		history := w.record(limits, func(r *repo.Repo) admit { return r.Admit })
		require.Equal(w, porcupine.Ok, porcupine.CheckOperationsTimeout(semaphore(limits), history, time.Minute))
		operations += len(history)
	}
	w.Logf("%s: %d histories of %d operations", w.d.Engine, times, operations)
}

func notLinearizable(w *world) {
	for range 10 {
		w.db.Where("1 = 1").Delete(&models.DagRun{})
		for g, limit := range dagContest(w) {
			history := w.record(map[repo.Gate]int{g: limit}, func(*repo.Repo) admit { return exercise.Ungated(w.db, g, limit) })
			if porcupine.CheckOperationsTimeout(semaphore(map[repo.Gate]int{g: limit}), history, time.Minute) == porcupine.Illegal {
				return
			}
		}
	}
	require.Fail(w, "the check must be able to show the race")
}
