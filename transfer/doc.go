// Package transfer copies all that usher stores from one database to another, of whatever engine.
//
// It is responsible for:
//   - the copy ([Copy]): every row of the five tables under its key, times to the microsecond,
//     NULLs, fences and attempts as they are, JSON equal by value, and new ids beyond those copied;
//   - going on after it was interrupted, and bringing what has changed since an earlier copy ([Ahead]);
//   - the proof: in the end all rows of both databases are compared;
//   - refusing what would lose or double runs: a source whose schedulers are alive, and a target
//     that holds anything but an unfinished copy.
//
// It knows columns and values, not what they mean, and copies those of usher's models alone.
// The tables of the target must be there.
//
// Start with [Copy].
package transfer
