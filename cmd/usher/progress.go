package main

import (
	"sync"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// manyRows is from when on work is worth a bar.
const manyRows = 5000

// progress draws a bar on stderr for long work, if that is a terminal. It returns what to call
// in the course of the work, nil when nobody watches, and what to call when it has ended.
func (a *app) progress(doing string) (report func(done, total int), end func(error)) {
	if !isTerminal(a.stderr) {
		return nil, func(error) {}
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
