package main

import (
	"sync"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// manyRows is from when on work is worth a bar.
const manyRows = 5000

// progress draws a bar on stderr for long work, if that is a terminal. It returns what to call
// in the course of the work, and what to call when it has ended.
func (a *app) progress(doing string, total int) (report func(done, total int), end func(error)) {
	if total < manyRows || !isTerminal(a.stderr) {
		return func(int, int) {}, func(error) {}
	}
	bar := progress.NewWriter()
	bar.SetOutputWriter(a.stderr)
	bar.SetAutoStop(true)
	tracker := &progress.Tracker{Message: doing, Total: int64(total)}
	bar.AppendTracker(tracker)
	var begin sync.Once
	var drawing sync.WaitGroup
	report = func(done, _ int) {
		begin.Do(func() { drawing.Go(bar.Render) })
		if done < total { // the work is done when it is committed
			tracker.SetValue(int64(done))
		}
	}
	return report, func(err error) {
		if err != nil {
			tracker.MarkAsErrored()
		} else {
			tracker.MarkAsDone()
		}
		drawing.Wait()
	}
}
