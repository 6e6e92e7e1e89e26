package main

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// steps are the statements of a pass, told by what they contain; the first that fits counts.
var steps = [][2]string{
	{"the hint", "_ring"},
	{"holding the gates", "FOR UPDATE"},
	{"holding the gates", "DELETE FROM"},
	{"capacity", " AS slots"},
	{"the queues", " AS stray"},
	{"marking", "UPDATE"},
}

var stepNames = []string{"the hint", "holding the gates", "capacity", "the queues", "marking"}

// rest is what is no statement's: among it, the rows of the queues as they come.
const rest = "BEGIN, COMMIT, reading rows, and the client"

// stopwatch adds up the time of statements, by step.
type stopwatch struct {
	logger.Interface
	took map[string]time.Duration
}

// Trace implements [logger.Interface].
func (s *stopwatch) Trace(_ context.Context, began time.Time, statement func() (string, int64), _ error) {
	took := time.Since(began)
	sql, _ := statement()
	for _, step := range steps {
		if strings.Contains(sql, step[1]) {
			s.took[step[0]] += took
			return
		}
	}
}

// anatomy measures what each statement of a pass takes, by the client's clock, in the deep queue with
// the limits that are the default. The parts are means:
// a walk serves several passes.
func anatomy(b *bench) error {
	d, done, err := b.open(b.size.deep[0])
	if err != nil {
		return err
	}
	defer done()
	if err := d.limit(b.ctx, repo.DefaultMaxActiveRuns, models.DefaultBackfillMaxActiveRuns); err != nil {
		return err
	}
	watch := &stopwatch{Interface: logger.Discard, took: map[string]time.Duration{}}
	r, err := repo.New(d.db.Session(&gorm.Session{Logger: watch}))
	if err != nil {
		return err
	}
	split, whole := map[string]time.Duration{}, times{}
	const warm = 12
	for i := range b.size.turns + warm {
		clear(watch.took)
		began := time.Now()
		runs, err := r.Admit(b.ctx)
		took := time.Since(began)
		if err != nil {
			return err
		}
		if i >= warm {
			whole = append(whole, took)
			for _, step := range stepNames {
				split[step] += watch.took[step]
				took -= watch.took[step]
			}
			split[rest] += took
		}
		if err := d.requeue(b.ctx, runs); err != nil {
			return err
		}
	}
	for _, step := range append(stepNames, rest) {
		b.add("a pass of 500 runs", step, split[step].Seconds()*1000/float64(len(whole)), "ms", "")
	}
	b.add("a pass of 500 runs", "the pass", whole.milliseconds(), "ms", "")
	return d.limit(b.ctx, b.size.deep[0].limit, b.size.deep[0].backfillLimit)
}
