package models

import (
	"database/sql/driver"
	"fmt"
	"math"

	"gorm.io/gorm/schema"
)

// Place is a run's place in the order of its backfill, from 1. The zero value is none. It is
// stored as the highest number, so that an index has the runs without a place behind the others.
type Place int

// NoPlace is what is stored for a run without a place.
const NoPlace = math.MaxInt32

// Value implements [driver.Valuer].
func (p Place) Value() (driver.Value, error) {
	if p == 0 {
		return int64(NoPlace), nil
	}
	return int64(p), nil
}

// Scan implements [database/sql.Scanner].
func (p *Place) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		if _, err := fmt.Sscan(fmt.Sprintf("%s", value), &n); err != nil {
			return fmt.Errorf("cannot read a place from %T: %w", value, err)
		}
	}
	*p = Place(n)
	if n == NoPlace {
		*p = 0
	}
	return nil
}

// GormDataType tells GORM that this is an integer.
func (Place) GormDataType() string { return string(schema.Int) }
