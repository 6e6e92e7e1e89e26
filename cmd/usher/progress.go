package main

import (
	"sync"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// manyRows is from when on work is worth a bar.
const manyRows = 5000

// progress draws a bar on stderr for long work, if that is a terminal. It returns what to call
// in the course of the work, and what to call when it has ended.
func (a *app) progress(doing string) (report func(done, total int), end func(error)) {
	if !isTerminal(a.stderr) {
		return func(int, int) {}, func(error) {}
	}
	bar := progress.NewWriter()
	bar.SetOutputWriter(a.stderr)
	bar.SetAutoStop(true)
	tracker := &progress.Tracker{Message: doing}
	bar.AppendTracker(tracker)
	var drawing sync.WaitGroup
	drawn := false
	report = func(done, total int) {
		if total < manyRows {
			return
		}
		tracker.UpdateTotal(int64(total))
		if !drawn {
			drawn = true
			drawing.Go(bar.Render)
		}
		if done < total { // the work is done when it is committed
			tracker.SetValue(int64(done))
		}
	}
	return report, func(err error) {
		if !drawn {
			return
		}
		if err != nil {
			tracker.MarkAsErrored()
		} else {
			tracker.MarkAsDone()
		}
		drawing.Wait()
	}
}

// lateProgress is progress for work whose total is known once it has begun. There is nothing
// to call in the course of it when nobody watches, since the total has to be counted.
func (a *app) lateProgress(doing string) (report func(done, total int), end func(error)) {
	end = func(error) {}
	if !isTerminal(a.stderr) {
		return nil, end
	}
	var draw func(done, total int)
	report = func(done, total int) {
		if draw == nil {
			draw, end = a.progress(doing, total)
		}
		draw(done, total)
	}
	return report, func(err error) { end(err) }
}
