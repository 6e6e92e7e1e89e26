package transfer

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/usher-go/usher/models"
)

// row is the values of a table's columns: nil, bool, int64, string or [models.Time]. Rows of two
// databases are equal when these are.
type row []any

// kind is what a column holds.
type kind int

const (
	words kind = iota
	number
	truth
	instant
	document
)

// kindOf is the kind of column that a field of a model has.
func kindOf(t reflect.Type) kind {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[models.Time]():
		return instant
	case t == reflect.TypeFor[models.JSON]():
		return document
	case t.Kind() == reflect.Bool:
		return truth
	case t.Kind() == reflect.String:
		return words
	}
	return number
}

// errNoInstant is for what a column of time may hold on some engines.
var errNoInstant = errors.New("it is no instant that every engine has")

// value is what a driver has read, in the one form of the kind.
func (k kind) value(raw any) (any, error) {
	if raw == nil {
		return nil, nil
	}
	if bytes, ok := raw.([]byte); ok {
		raw = string(bytes)
	}
	switch k {
	case instant:
		var t models.Time
		if err := t.Scan(raw); err != nil {
			return nil, err
		}
		if t.IsZero() {
			return nil, errNoInstant
		}
		return t, nil
	case document:
		var j models.JSON
		if err := j.Scan(raw); err != nil || j == nil {
			return nil, err
		}
		return string(j), nil
	case words:
		if s, ok := raw.(string); ok {
			return s, nil
		}
	case number:
		return wholeNumber(raw)
	case truth:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
		n, err := wholeNumber(raw)
		return n != 0, err
	}
	return nil, fmt.Errorf("it holds %v of type %[1]T", raw)
}

func wholeNumber(raw any) (int64, error) {
	switch v := raw.(type) {
	case int64:
		return v, nil
	case string:
		return strconv.ParseInt(v, 10, 64)
	}
	return 0, fmt.Errorf("it holds %v of type %[1]T", raw)
}
