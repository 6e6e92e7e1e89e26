package main

import (
	"sync"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// manyRows is from when on work is worth a bar.
const manyRows = 5000

// progress draws a bar on stderr for long work, if that is a terminal. It returns what to call
// in the course of the work, and what to call at its end, once or more often.
func (a *app) progress(doing string, total int) (report func(done, total int), end func()) {
	if total < manyRows || !isTerminal(a.stderr) {
		return func(int, int) {}, func() {}
	}
	bar := progress.NewWriter()
	bar.SetOutputWriter(a.stderr)
	bar.SetAutoStop(true)
	tracker := &progress.Tracker{Message: doing, Total: int64(total)}
	bar.AppendTracker(tracker)
	var drawing sync.WaitGroup
	drawing.Go(bar.Render)
	report = func(done, _ int) {
		if done < total { // the end is when the rows are committed
			tracker.SetValue(int64(done))
		}
	}
	return report, func() {
		tracker.MarkAsDone()
		drawing.Wait()
	}
}
