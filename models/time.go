package models

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
)

// Time is an instant in UTC, to the microsecond: the same one when it is read back, on every
// engine. The zero value is NULL.
type Time struct{ time.Time }

// At is the instant t, cut to the microsecond.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// Value implements [driver.Valuer] for use outside GORM.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return At(t.Time).Time, nil
}

// GormValue implements [gorm.Valuer]: SQLite compares times as text and needs one form.
func (t Time) GormValue(_ context.Context, db *gorm.DB) clause.Expr {
	if t.IsZero() {
		return clause.Expr{SQL: "NULL"}
	}
	return clause.Expr{SQL: "?", Vars: []any{dialect.TimeValue(db.Dialector, t.Time)}}
}

// Scan implements [database/sql.Scanner].
func (t *Time) Scan(value any) (err error) {
	var read time.Time
	switch v := value.(type) {
	case nil:
	case time.Time:
		read = v
	case []byte:
		return t.Scan(string(v))
	case string:
		if v != "" && !strings.HasSuffix(v, "infinity") { // which is no instant
			read, err = dialect.ParseTime(v)
		}
	case int64: // seconds since 1970, as SQLite's own functions count
		read = time.Unix(v, 0)
	default:
		err = fmt.Errorf("cannot read a time from %T", value)
	}
	*t = At(read)
	return err
}

// MarshalJSON writes RFC 3339 in UTC, or null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return At(t.Time).Time.MarshalJSON()
}

// UnmarshalJSON reads RFC 3339, or null.
func (t *Time) UnmarshalJSON(text []byte) error {
	var read time.Time
	err := read.UnmarshalJSON(text)
	*t = At(read)
	return err
}

// GormDataType tells GORM that this is a time.
func (Time) GormDataType() string { return string(schema.Time) }

// GormDBDataType is the column type on each engine.
func (Time) GormDBDataType(db *gorm.DB, _ *schema.Field) string {
	return dialect.TimeType(db.Dialector)
}
