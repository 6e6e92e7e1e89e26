package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// attempt names one life of a run from queued to finished.
type attempt struct {
	id     int64
	number int
}

func attemptOf(run models.DagRun) attempt { return attempt{run.ID, run.ClearNumber} }

// outcome says that an attempt is over, and why the database was not told of it.
type outcome struct {
	attempt
	err error
}

var errExit = errors.New("the handler ended its goroutine without returning")

// handOut has the runs executed that are not yet, as far as hands are free; another look will
// find the others.
func (l *life) handOut(runs []models.DagRun) {
	for _, run := range runs {
		switch {
		case l.hands[attemptOf(run)] || l.ctx.Err() != nil:
		case l.free() == 0:
			l.unsure = true
		default:
			l.hands[attemptOf(run)] = true
			go l.execute(run)
		}
	}
}

// execute calls the handler and records how it ended. A panic is a failure.
func (l *life) execute(run models.DagRun) {
	err := errExit
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
			l.logger.ErrorContext(l.work, "panic", of(run), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
		l.ended <- outcome{attemptOf(run), l.conclude(run, err)}
	}()
	err = l.handle(l.work, run)
}

// conclude records how a run ended: its result, unless it was cut off. One that was cut off by
// the shutdown is queued again; the result of a scheduler that is dead does not count.
func (l *life) conclude(run models.DagRun, result error) error {
	state := models.Success
	if result != nil {
		state = models.Failed
	}
	end := func(ctx context.Context) error { return l.repo.Finish(ctx, run, state) }
	if result != nil && errors.Is(context.Cause(l.work), ErrStopped) {
		state = models.Queued
		end = func(ctx context.Context) error {
			_, err := l.repo.GiveBack(ctx, run)
			return err
		}
	}
	if result != nil {
		l.logger.WarnContext(l.work, "a run did not succeed", of(run), slog.String("becomes", string(state)), slog.Any("error", result))
	}
	err := l.insist(l.work, l.ctx, "finish", end)
	switch {
	case l.ctx.Err() != nil:
		return nil // others have the run
	case errors.Is(err, repo.ErrAttempt), errors.Is(err, repo.ErrState), errors.Is(err, repo.ErrRunNotFound):
		l.logger.WarnContext(l.work, "a run was changed meanwhile", of(run), slog.Any("error", err))
		return nil
	case err != nil:
		return fmt.Errorf("run %s of DAG %s, which became %s: %w", run.RunID, run.DagID, state, err)
	}
	return nil
}

// of names a run in the log.
func of(run models.DagRun) slog.Attr {
	return slog.Group("run", slog.String("dag_id", run.DagID), slog.String("run_id", run.RunID), slog.Int("attempt", run.ClearNumber))
}
