// Package repo has the rules of admission: which queued runs become running, and when.
//
// It is responsible for everything that changes a run, a DAG or a backfill. It does not say
// how rows are locked (package locking) nor how engines differ (package dialect).
//
// A run waits in queued until the gate that it belongs to has room. A gate is a row with a
// limit: the dag row for the DAG's own runs, the backfill row for the runs of a backfill. A
// pass ([Repo.Admit]) holds some gates, counts what runs in them, and starts as many of the
// runs that wait there as fit, in order. Whoever is given a run executes it and then calls
// [Repo.Finish].
//
// Besides the errors that its comment names, a verb may return [ErrNoTables], an error of
// package locking ([locking.ErrContention] when others were always quicker, [locking.ErrCommitUnknown]),
// the context's own, or the database's. Each begins with the name of the verb, as in "finish
// run: no such run", and is told by errors.Is; [Repo.Transient] tells whether it may pass. Unless
// its comment says otherwise, a verb that returns an error has changed nothing; after
// ErrCommitUnknown it may have.
//
// Start with [New], and to read the code with admit.go, which is the whole algorithm; gates.go says
// what the kinds of gate are.
package repo
