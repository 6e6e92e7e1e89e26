package dialect

import "database/sql"

// unknown is for a GORM dialector that usher has not met.
type unknown struct{}

var _ Dialect = unknown{}

func (unknown) Lock(Version) (Lock, string, error) {
	return ForUpdate, "the engine is unknown to usher, so it locks and writes", nil
}

// TxOptions leave the engine's default: an unknown driver may refuse a level.
func (unknown) TxOptions() *sql.TxOptions { return nil }

func (unknown) Now() string { return "CURRENT_TIMESTAMP" }

func (unknown) TableOptions(Version) string { return "" }

// Class knows the standard's classes of SQLSTATE, which most drivers carry.
func (unknown) Class(err error) Class { return postgres{}.Class(err) }
