package migrating

import (
	"cmp"
	"io/fs"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
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

func (s *site) gormigrate() (*gormigrate.Gormigrate, []*gormigrate.Migration) {
	list, err := listOf(s.files())
	require.NoError(s, err)
	return gormigrate.New(s.db, gormigrate.DefaultOptions, list), list
}

func withGormigrate(s *site, version int64) error {
	m, list := s.gormigrate()
	if version == 0 {
		return m.Migrate()
	}
	return m.MigrateTo(list[version-1].ID)
}

// adoptByGormigrate: the list's first use, on a database that Migrate has made or is to make.
func adoptByGormigrate(s *site, _ []int64) error {
	m, _ := s.gormigrate()
	m.InitSchema(func(*gorm.DB) error { return s.migrate() })
	return m.Migrate()
}
