// Package migrations has usher's schema as versioned SQL files, for applications whose own schema
// is kept that way: a folder for each engine, and in it a file for each version.
//
// Applied in order they make what [github.com/usher-go/usher/repo.Repo.Migrate] makes of an empty
// database; a test holds them to that. README.md says how to use them with goose, golang-migrate,
// Atlas and gormigrate. The package runs nothing, and imports nothing but the standard library.
package migrations

import "embed"

// FS has the files: mariadb, mysql, postgres and sqlite are its folders, and a file is named as in
// "postgres/0001_tables.up.sql". Versions count from 1, and a file that was released never changes.
//
//go:embed */*.sql
var FS embed.FS
