package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/repo"
)

// outcomeOfRace is what was counted in one race.
type outcomeOfRace struct {
	peak    int
	moments []exercise.Moment
}

// race lets the scheduler processes loose on a fresh backfill.
func (d demo) race(ctx context.Context, db *gorm.DB, gated bool) (outcomeOfRace, error) {
	gate, err := d.load(ctx, db)
	if err != nil {
		return outcomeOfRace{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tally := exercise.NewTally()
	ended := make(chan error, d.schedulers)
	for range d.schedulers {
		wait, err := d.start(ctx, tally, gate, gated)
		if err != nil {
			return outcomeOfRace{}, err
		}
		go func() { ended <- wait() }()
	}
	watched := d.watch(tally, gate, gated)
	var failures error
	for range d.schedulers {
		if err := <-ended; err != nil {
			failures = errors.Join(failures, err)
			cancel() // the others wait for runs that this one has not finished
		}
	}
	watched()
	if twice := tally.Twice(); len(twice) > 0 {
		failures = errors.Join(failures, fmt.Errorf("runs were started more than once: %v", twice))
	}
	return outcomeOfRace{tally.Peak(gate), tally.Moments()}, failures
}

// start starts a scheduler process. The DSN goes by the environment, where others do not see it.
func (d demo) start(ctx context.Context, tally *exercise.Tally, gate repo.Gate, gated bool) (wait func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a scheduler: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "demo-scheduler", "--backfill", strconv.FormatInt(gate.BackfillID, 10),
		"--max-active-runs", strconv.Itoa(d.limit), "--work", d.work.String(), "--gated="+strconv.FormatBool(gated))
	cmd.Env = append(os.Environ(), "USHER_DSN="+d.dsn)
	complaint := &bytes.Buffer{}
	cmd.Stderr = complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a scheduler: %w", err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a scheduler: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a scheduler: %w", err)
	}
	return func() error {
		served := exercise.Serve(tally, out, in)
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("a scheduler failed: %w: %s", errors.Join(ctx.Err(), err), bytes.TrimSpace(complaint.Bytes()))
		}
		return served
	}, nil
}

// watch shows how the race goes until the function that it returns is called.
func (d demo) watch(tally *exercise.Tally, gate repo.Gate, gated bool) (stop func()) {
	name := "without the gate: count, then start"
	if gated {
		name = "with the gate"
	}
	over := make(chan struct{})
	shown := make(chan struct{})
	bar := progress.NewWriter()
	bar.SetOutputWriter(d.stderr)
	bar.SetMessageLength(70)
	bar.Style().Visibility.Speed = false
	tracker := &progress.Tracker{Total: int64(d.runs)}
	update := func() {
		running, done := tally.Now()
		tracker.UpdateMessage(fmt.Sprintf("%-36s running %3d  done %5d  peak %3d", name, running, done, tally.Peak(gate)))
		tracker.SetValue(int64(min(done, d.runs-1)))
	}
	update()
	bar.AppendTracker(tracker)
	terminal := isTerminal(d.stderr)
	if terminal {
		go bar.Render()
	}
	go func() {
		defer close(shown)
		for {
			select {
			case <-over:
				return
			case <-time.After(100 * time.Millisecond):
				update()
			}
		}
	}()
	return func() {
		close(over)
		<-shown
		update()
		if !terminal {
			d.say("%s", tracker.Message)
			return
		}
		tracker.MarkAsDone()
		bar.Stop()
		for bar.IsRenderInProgress() {
			time.Sleep(time.Millisecond)
		}
	}
}
