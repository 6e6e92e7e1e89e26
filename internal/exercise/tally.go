// Package exercise races schedulers against each other and counts, outside the database, what
// runs. The demo and the tests use it: what the demo shows is what the tests prove.
//
// A run counts from the moment when Admit has returned it until just before Finish is called.
// So the count is never higher than what the database allowed, and a count above the limit is
// a limit that was broken.
package exercise

import (
	"fmt"
	"sync"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Counter is told of every run that starts and ends.
type Counter interface {
	// Up is called when Admit has returned the run.
	Up(run models.DagRun) error
	// Down is called before Finish is, and returns when the run has been counted down.
	Down(run models.DagRun) error
}

// Moment is how many runs were running after a change.
type Moment struct {
	At      time.Duration // since the tally was made
	Running int           // in all gates
}

// Tally is a Counter that keeps what it was told. It is safe for use by several goroutines.
type Tally struct {
	mu      sync.Mutex
	began   time.Time
	all     int
	done    int
	running map[repo.Gate]int
	peak    map[repo.Gate]int
	starts  map[string]int
	order   map[repo.Gate][]int64
	moments []Moment
}

// NewTally begins to count.
func NewTally() *Tally {
	return &Tally{
		began: time.Now(), running: map[repo.Gate]int{}, peak: map[repo.Gate]int{},
		starts: map[string]int{}, order: map[repo.Gate][]int64{},
	}
}

// Up implements [Counter].
func (t *Tally) Up(run models.DagRun) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := repo.GateOf(run)
	t.running[g]++
	t.peak[g] = max(t.peak[g], t.running[g])
	t.starts[fmt.Sprintf("run %d attempt %d", run.ID, run.ClearNumber)]++
	t.order[g] = append(t.order[g], run.ID)
	t.all++
	t.moments = append(t.moments, Moment{time.Since(t.began), t.all})
	return nil
}

// Down implements [Counter].
func (t *Tally) Down(run models.DagRun) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running[repo.GateOf(run)]--
	t.all--
	t.done++
	t.moments = append(t.moments, Moment{time.Since(t.began), t.all})
	return nil
}

// Now is how many runs are running, and how many have ended.
func (t *Tally) Now() (running, done int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all, t.done
}

// Peak is the largest number of runs of a gate that ran at one time.
func (t *Tally) Peak(g repo.Gate) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peak[g]
}

// Started are the ids of a gate's runs in the order in which they were counted up.
func (t *Tally) Started(g repo.Gate) []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]int64(nil), t.order[g]...)
}

// Twice lists the attempts of runs that were admitted more than once.
func (t *Tally) Twice() (attempts []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for attempt, n := range t.starts {
		if n > 1 {
			attempts = append(attempts, fmt.Sprintf("%s: %d times", attempt, n))
		}
	}
	return attempts
}

// Moments is the history: every change of the number of running runs.
func (t *Tally) Moments() []Moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Moment(nil), t.moments...)
}
