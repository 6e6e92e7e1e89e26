// Package runner is a scheduler that an application can have in one call: [Run] admits runs,
// gives each to a handler, and finishes it.
//
// It is responsible for the life of a scheduler: its registration and heartbeat, as many runs
// at a time as it has hands, the runs that others left behind when they died, and an orderly
// end. The rules of admission are in package repo; any other loop around [repo.Repo] may be
// written in its place.
//
// Start with [Run]:
//
//	err := runner.Run(ctx, r, func(ctx context.Context, run models.DagRun) error {
//		… // execute the run
//	})
package runner
