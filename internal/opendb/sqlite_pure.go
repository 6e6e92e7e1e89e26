//go:build !cgo

package opendb

import _ "modernc.org/sqlite" // the driver "sqlite"

// sqliteDriver is modernc's: mattn's is a stub without cgo.
const sqliteDriver = "sqlite"
