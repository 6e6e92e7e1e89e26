// Package dialect says how the engines differ.
//
// It is responsible for three things:
//   - finding out which server answers, by asking it ([Detect]), and choosing the
//     [Strategy] by which rows are held there;
//   - the SQL that differs: the clock, table options, column types, values of time;
//   - what an error of the engine means ([Dialect].Class), found without importing any driver.
//
// It begins no transaction and takes no lock: that is package locking. It knows nothing of
// DAGs and runs: that is package repo.
//
// Start with [Dialect]: each engine implements it in a file of its own, with the methods in
// the same order, so that two files side by side show how two engines differ.
package dialect
