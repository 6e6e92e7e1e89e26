package opendb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/usher-go/usher/dialect"
)

// missing is err, or that the file or its directory does not exist, if that is why.
func (d DSN) missing(err error) error {
	if d.file == "" {
		return err
	}
	dir := filepath.Dir(d.file)
	if _, gone := os.Stat(dir); errors.Is(gone, fs.ErrNotExist) {
		return fmt.Errorf("the directory %s does not exist: make it, or name another path", dir)
	}
	info, gone := os.Stat(d.file)
	switch {
	case errors.Is(gone, fs.ErrNotExist) && d.existing:
		return fmt.Errorf("%w at %s: run `usher migrate`", ErrNoDatabase, d.file)
	case gone == nil && info.IsDir():
		return fmt.Errorf("%s is a directory: name a file", d.file)
	case gone == nil && info.Size() > 0 && !isSQLite(d.file):
		return fmt.Errorf("%s is a file of another kind: name another path", d.file)
	}
	return err
}

// isSQLite reports whether a file that can be read is SQLite's. Of others it says nothing.
func isSQLite(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return true
	}
	defer file.Close()
	start := make([]byte, 16)
	_, err = io.ReadFull(file, start)
	return err == nil && string(start) == "SQLite format 3\x00"
}

// Advice says what to do about an error that this database gave; empty when there is no more
// to say than the error does.
func (d DSN) Advice(err error) string {
	if d.dialector == nil || errors.Is(err, ErrNoDatabase) {
		return ""
	}
	dialector, wrong := d.dialector(d.existing)
	if wrong != nil {
		return ""
	}
	class := dialect.Classify(dialector, err)
	if d.file != "" {
		return fileAdvice[class]
	}
	return serverAdvice[class]
}

var serverAdvice = map[dialect.Class]string{
	dialect.Busy:     "somebody else holds the lock: try again",
	dialect.Conflict: "others were quicker: try again",
	dialect.Lost:     "check that the server runs and takes connections, and host and port in the DSN",
	dialect.Missing:  "make the database first, or name another one in the DSN",
	dialect.Denied:   "check user and password in the DSN, and that the user may read and write the tables of the database (to migrate, make them too)",
	dialect.ReadOnly: "name a server that takes writes, not a replica",
}

var fileAdvice = map[dialect.Class]string{
	dialect.Busy:     "another process is writing for too long: try again",
	dialect.Conflict: "others were quicker: try again",
	dialect.Denied:   "check that you may read and write the file and its directory",
	dialect.ReadOnly: "check that you may read and write the file and its directory",
}
