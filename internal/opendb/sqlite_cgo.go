//go:build cgo

package opendb

// sqliteDriver is mattn's, which gorm.io/driver/sqlite brings along.
const sqliteDriver = "sqlite3"
