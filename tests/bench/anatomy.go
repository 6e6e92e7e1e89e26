package main

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/repo"
)

// steps are the statements of a pass, told by what they contain; the first that fits counts.
var steps = [][2]string{
	{"the hint", "_ring"},
	{"holding the gates", "FOR UPDATE"},
	{"holding the gates", "DELETE FROM"},
	{"capacity", " AS slots"},
	{"the queues", " AS place"},
	{"marking", "UPDATE"},
	{"reading back", "SELECT"},
}

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

// anatomy measures what each statement of a pass takes, by the client's clock, in the deep queue.
func anatomy(b *bench) error {
	d, done, err := b.open(b.size.deep[0])
	if err != nil {
		return err
	}
	defer done()
	watch := &stopwatch{Interface: logger.Discard, took: map[string]time.Duration{}}
	r, err := repo.New(d.db.Session(&gorm.Session{Logger: watch}))
	if err != nil {
		return err
	}
	split, whole := map[string]times{}, times{}
	for i := range b.size.turns + 3 {
		clear(watch.took)
		began := time.Now()
		runs, err := r.Admit(b.ctx)
		took := time.Since(began)
		if err != nil {
			return err
		}
		if i >= 3 {
			whole = append(whole, took)
			for step, t := range watch.took {
				split[step] = append(split[step], t)
				took -= t
			}
			split["BEGIN, COMMIT and the client"] = append(split["BEGIN, COMMIT and the client"], took)
		}
		if err := d.requeue(b.ctx, runs); err != nil {
			return err
		}
	}
	for _, step := range []string{"the hint", "holding the gates", "capacity", "the queues", "marking", "reading back", "BEGIN, COMMIT and the client"} {
		b.add("a pass of 500 runs", step, split[step].milliseconds(), "ms", "")
	}
	b.add("a pass of 500 runs", "the pass", whole.milliseconds(), "ms", "")
	return nil
}
