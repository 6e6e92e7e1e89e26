package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"reflect"
)

// Class is what an error of an engine means for whoever met it.
type Class int

const (
	// Other is an error that says nothing about the transaction's chances.
	Other Class = iota
	// Conflict: a deadlock or a serialisation failure. The transaction is gone; the whole of it may be tried again.
	Conflict
	// Busy: a lock was not to be had in time.
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
)

// String names the class in one word.
func (c Class) String() string {
	return [...]string{"other", "conflict", "busy", "lost", "duplicate", "exists", "missing", "denied", "read-only"}[c]
}

// sqlState is the five-character code that PostgreSQL's drivers carry.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}

// mysqlNumber is the number of a MySQL error: a struct with a field Number of kind uint16.
func mysqlNumber(err error) int {
	return search(err, func(v reflect.Value) int {
		if f := field(v, "Number"); f.IsValid() && f.Kind() == reflect.Uint16 {
			return int(f.Uint())
		}
		return 0
	})
}

// sqliteCode is the extended result code, from any of the drivers: mattn has a field
// ExtendedCode, modernc and glebarez a method Code, ncruces a method
// ExtendedCode, or an error that is the code.
func sqliteCode(err error) int {
	return search(err, func(v reflect.Value) int {
		if coded, ok := v.Interface().(interface{ Code() int }); ok {
			return coded.Code()
		}
		if m := v.MethodByName("ExtendedCode"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 && m.Type().Out(0).Kind() == reflect.Uint16 {
			return int(m.Call(nil)[0].Uint())
		}
		if f := field(v, "ExtendedCode"); f.IsValid() && f.CanInt() {
			return int(f.Int())
		}
		if k := v.Kind(); k == reflect.Uint8 || k == reflect.Uint16 { // ncruces' bare codes
			return int(v.Uint())
		}
		return 0
	})
}

// field is a field of the struct that v is or points to.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// search walks the tree of wrapped errors until code finds something.
func search(err error, code func(reflect.Value) int) int {
	if err == nil {
		return 0
	}
	if n := code(reflect.ValueOf(err)); n != 0 {
		return n
	}
	switch wrapped := err.(type) {
	case interface{ Unwrap() error }:
		return search(wrapped.Unwrap(), code)
	case interface{ Unwrap() []error }:
		for _, e := range wrapped.Unwrap() {
			if n := search(e, code); n != 0 {
				return n
			}
		}
	}
	return 0
}

// connection recognises what database/sql and the network say of a connection that is no more.
func connection(err error) Class {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Other
	}
	var network net.Error
	var unsent interface{ SafeToRetry() bool }
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.As(err, &network),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Lost
	case errors.As(err, &unsent) && unsent.SafeToRetry():
		return Lost
	case err != nil && err.Error() == "invalid connection": // the MySQL driver's ErrInvalidConn
		return Lost
	}
	return Other
}
