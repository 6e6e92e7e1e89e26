package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"iter"
	"net"
	"reflect"
	"slices"

	"gorm.io/gorm"
)

// Class is what an error of an engine means for whoever met it.
type Class int

const (
	// Other is an error that says nothing about the transaction's chances.
	Other Class = iota
	// Conflict: a deadlock or a serialisation failure. The transaction is gone; the whole of it may be tried again.
	Conflict
	// Busy: a lock was not to be had in time, or the schema has changed under a prepared statement.
	Busy
	// Lost: the connection broke, or the server is going down, refuses, or cannot be reached.
	Lost
	// Duplicate: a unique index refused the row.
	Duplicate
	// Exists: the table, column or index that was to be created is there already.
	Exists
	// Missing: a table, a column or the database does not exist.
	Missing
	// Denied: the user may not log in, or may not do this.
	Denied
	// ReadOnly: the server, the file or the transaction takes no writes.
	ReadOnly
	// Full: the disk has no room. The transaction may be tried again once it has.
	Full
	// LeftOpen: the connection has a transaction open, which somebody did not end or which the
	// server refused to, as a node does that is cut off from its cluster, and SQLite while somebody
	// reads. Once it is rolled back, the connection is good.
	LeftOpen
)

// String names the class in one word.
func (c Class) String() string {
	return [...]string{"other", "conflict", "busy", "lost", "duplicate", "exists", "missing", "denied", "read-only", "full", "left open"}[c]
}

// Classify is what an error means that was met before [Detect] had found the engine, such as
// that of connecting, through the given GORM dialector.
func Classify(d gorm.Dialector, err error) Class {
	switch d.Name() {
	case "postgres":
		return postgres{}.Class(err)
	case "mysql":
		return mariadb{}.Class(err) // knows all that MySQL's does
	case "sqlite":
		return sqlite{}.Class(err)
	default:
		return unknown{}.Class(err)
	}
}

// sqlState is the five-character code that PostgreSQL's drivers carry.
func sqlState(err error) string {
	for e := range tree(err) {
		if coded, ok := e.(interface{ SQLState() string }); ok {
			return coded.SQLState()
		}
	}
	return ""
}

// postgresRoutine is the function of the server that an error comes from, which says what its
// code may leave open, in every language.
func postgresRoutine(err error) string {
	for e := range tree(err) {
		if f := field(reflect.ValueOf(e), "Routine"); f.Kind() == reflect.String {
			return f.String()
		}
	}
	return ""
}

// mysqlNumber is the number of a MySQL error: a struct with a field Number of kind uint16.
func mysqlNumber(err error) int {
	for e := range tree(err) {
		if f := field(reflect.ValueOf(e), "Number"); f.Kind() == reflect.Uint16 {
			return int(f.Uint())
		}
	}
	return 0
}

// sqliteCode is the extended result code, from any of the drivers.
func sqliteCode(err error) int {
	for e := range tree(err) {
		if code := codeOf(e); code != 0 {
			return code
		}
	}
	return 0
}

// codeOf is the code of one error: mattn has a field ExtendedCode, modernc and glebarez a
// method Code, ncruces a method ExtendedCode, or an error that is the code.
func codeOf(err error) int {
	if coded, ok := err.(interface{ Code() int }); ok {
		return coded.Code()
	}
	v := reflect.ValueOf(err)
	if m := v.MethodByName("ExtendedCode"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 && m.Type().Out(0).Kind() == reflect.Uint16 {
		return int(m.Call(nil)[0].Uint())
	}
	if f := field(v, "ExtendedCode"); f.CanInt() {
		return int(f.Int())
	}
	if k := v.Kind(); k == reflect.Uint8 || k == reflect.Uint16 { // ncruces' bare codes
		return int(v.Uint())
	}
	return 0
}

// field is a field of the struct that v is or points to; the zero Value when there is none.
func field(v reflect.Value, name string) reflect.Value {
	v = reflect.Indirect(v)
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	f, ok := v.Type().FieldByName(name)
	if !ok {
		return reflect.Value{}
	}
	found, _ := v.FieldByIndexErr(f.Index) // an error when it is in an embedded struct that is nil
	return found
}

// tree yields err and all that it wraps, but no nil pointers: their methods may panic.
func tree(err error) iter.Seq[error] {
	return func(yield func(error) bool) { walk(err, yield) }
}

func walk(err error, yield func(error) bool) bool {
	if v := reflect.ValueOf(err); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return true
	}
	if !yield(err) {
		return false
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return walk(wrapper.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, e := range wrapper.Unwrap() {
			if !walk(e, yield) {
				return false
			}
		}
	}
	return true
}

// uncoded is the class of an error without a code of the engine: what database/sql and the network
// say of a connection that is no more, and what GORM's TranslateError puts in the place of the
// engine's word.
func uncoded(err error) Class {
	class := Other
	for e := range tree(err) {
		switch canceled, ok := e.(interface{ Is(error) bool }); {
		case e == context.Canceled, e == context.DeadlineExceeded, ok && canceled.Is(context.Canceled):
			return Other
		case e == gorm.ErrDuplicatedKey:
			return Duplicate
		case isLost(e):
			class = Lost
		}
	}
	return class
}

// isLost looks at one error, not at what it wraps.
func isLost(err error) bool {
	switch err {
	case driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF:
		return true
	}
	if _, ok := err.(net.Error); ok {
		return true
	}
	if unsent, ok := err.(interface{ SafeToRetry() bool }); ok && unsent.SafeToRetry() {
		return true
	}
	// The MySQL driver's own, made by errors.New: the second is what it says of a connection that broke
	// while an answer was being read, the third when it closes one that is broken.
	return reflect.TypeOf(err) == reflect.TypeOf(io.EOF) && slices.Contains([]string{"invalid connection", "busy buffer", "bad connection"}, err.Error())
}
