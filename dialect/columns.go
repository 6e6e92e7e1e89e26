package dialect

import (
	"time"

	"gorm.io/gorm"
)

// timeLayout is how SQLite stores a time: UTC, microseconds, fixed width, so that the order
// of the text is the order of time. It is what SQLAlchemy, and so Airflow, writes there.
const timeLayout = "2006-01-02 15:04:05.000000"

// TimeType is the column type of a point in time, to the microsecond, for a GORM dialector.
func TimeType(d gorm.Dialector) string {
	switch d.Name() {
	case "postgres":
		return "timestamptz"
	case "mysql":
		return "datetime(6)"
	default:
		return "datetime"
	}
}

// TimeValue is the value to send for an instant to a column of [TimeType].
func TimeValue(d gorm.Dialector, t time.Time) any {
	t = t.UTC().Truncate(time.Microsecond)
	if d.Name() == "sqlite" {
		return t.Format(timeLayout)
	}
	return t
}

// ReadTime is what to select to read a column of [TimeType] quickly. SQLite's drivers try one form
// after another on a column of times, but not on an expression, whose text is for [ParseTime];
// the sign changes nothing else.
func ReadTime(d gorm.Dialector, column string) string {
	if d.Name() == "sqlite" {
		return "+" + column
	}
	return column
}

// ParseTime reads the text of a time, as a driver hands it over that does not parse it
// itself. Text without an offset is UTC.
func ParseTime(s string) (time.Time, error) {
	if len(s) == len(timeLayout) && s[10] == ' ' { // as SQLite has it, which is read faster as RFC 3339
		if t, err := time.Parse(time.RFC3339Nano, s[:10]+"T"+s[11:]+"Z"); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Parse("2006-01-02 15:04:05.999999999", s)
}

// JSONType is the column type of a JSON document for a GORM dialector.
func JSONType(d gorm.Dialector) string {
	switch d.Name() {
	case "postgres":
		return "jsonb"
	case "mysql":
		return "json"
	default:
		return "text"
	}
}
