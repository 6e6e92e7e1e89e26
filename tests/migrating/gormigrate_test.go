package migrating

import (
	"cmp"
	"io/fs"
	"strconv"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// listOf is a gormigrate list of the files, to append to the application's own. An entry's ID is
// the name of its file.
func listOf(files fs.FS) (list []*gormigrate.Migration, err error) {
	names, err := fs.Glob(files, "*.up.sql") // in order
	for _, name := range names {
		text, failed := fs.ReadFile(files, name)
		err = cmp.Or(err, failed)
		list = append(list, &gormigrate.Migration{ID: "usher_" + name, Migrate: func(tx *gorm.DB) error {
			for statement := range strings.SplitSeq(string(text), ";\n") {
				if strings.TrimSpace(statement) == "" {
					continue
				}
				if err := tx.Exec(statement).Error; err != nil {
					return err
				}
			}
			return nil
		}})
	}
	return list, err
}

func withGormigrate(s *site, version int64) error {
	list, err := listOf(s.files())
	if err != nil {
		return err
	}
	m := gormigrate.New(s.db, gormigrate.DefaultOptions, list)
	if version == 0 {
		return m.Migrate()
	}
	for _, migration := range list {
		if n, _ := strconv.ParseInt(migration.ID[len("usher_"):len("usher_0000")], 10, 64); n == version {
			return m.MigrateTo(migration.ID)
		}
	}
	return fs.ErrNotExist
}
