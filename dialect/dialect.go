package dialect

import (
	"database/sql"
	"errors"
)

// ErrUnsupported is returned by [Detect] for a server that is too old, or set up in a way
// in which usher cannot keep its promises. The message says what to change.
var ErrUnsupported = errors.New("unsupported database")

// Dialect is what differs from one engine to the next.
type Dialect interface {
	// Lock returns the row lock that version v of the engine has, and the reason for that
	// answer in a few words. It returns [ErrUnsupported] when v is too old for usher.
	Lock(v Version) (lock Lock, why string, err error)
	// TxOptions are the options with which usher begins its own transactions: READ COMMITTED
	// where the engine knows isolation levels, nil where it does not.
	TxOptions() *sql.TxOptions
	// Now is the SQL expression for the server's clock, of the type that usher's columns of
	// time have, in UTC, as fine as the engine can give it.
	Now() string
	// TableOptions is what follows CREATE TABLE (…), so that ids compare byte by byte.
	TableOptions(v Version) string
	// Class says what an error of this engine means for the transaction that met it.
	Class(err error) Class
}

// Lock is a kind of row lock that an engine offers.
type Lock int

const (
	// NoLock is for engines without row locks that can be trusted: to hold is to write.
	NoLock Lock = iota
	// ForUpdate waits for a row that somebody else holds.
	ForUpdate
	// SkipLocked passes over a row that somebody else holds.
	SkipLocked
)

// Strategy is how rows are held on a server.
type Strategy struct {
	// Lock is the row lock to take.
	Lock Lock
	// Fence asks for a write to each held row in the same transaction, for servers where a
	// row lock is local to one node, or cannot be relied on.
	Fence bool
}

// SingleWriter is the strategy of an engine that has one writer at a time: the first
// statement of the transaction is a write, and whoever writes holds everything.
var SingleWriter = Strategy{Lock: NoLock, Fence: false}

// String names the strategy as the command prints it.
func (s Strategy) String() string {
	name := map[Lock]string{NoLock: "write", ForUpdate: "for update", SkipLocked: "skip locked"}[s.Lock]
	switch {
	case s == SingleWriter:
		return "single writer"
	case s.Fence:
		return name + " and fence"
	default:
		return name
	}
}

// Server is what [Detect] found: who answers, and how rows are held there.
type Server struct {
	Dialect

	// Engine is the product's name: "PostgreSQL", "MySQL", "MariaDB", "SQLite", or that of a compatible one.
	Engine string
	// Version is the engine's own version.
	Version Version
	// Banner is the version as the server gave it.
	Banner string
	// Cluster names the multi-primary cluster that the server is part of; empty for none.
	Cluster string
	// Strategy is how rows are held.
	Strategy Strategy
	// Why is the reason for the strategy, in a few words.
	Why string
}
