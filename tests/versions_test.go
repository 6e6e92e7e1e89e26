package tests

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/migrations"
	"github.com/usher-go/usher/repo"
)

// versions are the texts of the files for the world's engine, in order.
func (w *world) versions() (texts []string) {
	folder := map[string]string{"postgres": "postgres", "sqlite": "sqlite"}[w.db.Name()]
	if folder == "" {
		folder = strings.ToLower(w.d.Engine)
	}
	files, err := fs.Glob(migrations.FS, path.Join(folder, "*.up.sql"))
	require.NoError(w, err)
	slices.Sort(files)
	for _, file := range files {
		text, err := migrations.FS.ReadFile(file)
		require.NoError(w, err)
		texts = append(texts, string(text))
	}
	require.GreaterOrEqual(w, len(texts), 4)
	return texts
}

// apply runs the statements of a version's file.
func (w *world) apply(text string) {
	for statement := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(statement) != "" {
			require.NoError(w, w.db.WithContext(w.ctx).Exec(statement).Error, statement)
		}
	}
}

// The schema in lines: the columns, and the indexes.
var schemaOf = map[string][]string{
	"postgres": {
		`SELECT concat_ws(' ', 'column', table_name, column_name, udt_name, character_maximum_length, datetime_precision, 'null', is_nullable, 'default', replace(column_default, '"', ''))
			FROM information_schema.columns WHERE table_schema = current_schema()`,
		`SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()`,
		`SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'`,
	},
	"mysql": {
		`SELECT CONCAT_WS(' ', 'column', table_name, column_name, column_type, collation_name, 'null', is_nullable, 'default', column_default, extra) FROM information_schema.columns WHERE table_schema = DATABASE()`,
		`SELECT CONCAT_WS(' ', 'index', table_name, index_name, 'repeats', non_unique, index_type, GROUP_CONCAT(CONCAT_WS(' ', column_name, collation, sub_part) ORDER BY seq_in_index))
			FROM information_schema.statistics WHERE table_schema = DATABASE() GROUP BY table_name, index_name, non_unique, index_type`,
		`SELECT CONCAT_WS(' ', 'table', table_name, engine, table_collation) FROM information_schema.tables WHERE table_schema = DATABASE()`,
		`SELECT CONCAT_WS(' ', 'constraint', table_name, constraint_name, constraint_type) FROM information_schema.table_constraints WHERE table_schema = DATABASE()`,
	},
	"sqlite": {
		`SELECT concat_ws(' ', 'column', t.name, c.name, lower(c.type), 'not null', c."notnull", 'default', c.dflt_value, 'key', c.pk) FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'`,
		`SELECT concat_ws(' ', tbl_name, sql, instr(sql, 'AUTOINCREMENT') > 0) FROM sqlite_master WHERE type = 'index'`,
		`SELECT concat_ws(' ', 'table', name, 'counts', instr(sql, 'AUTOINCREMENT') > 0) FROM sqlite_master WHERE type = 'table'`,
	},
}

var (
	blanks      = regexp.MustCompile("[\\s`\"]+")
	punctuation = regexp.MustCompile(` ?([(),]) ?`)
)

// schema is what the database has, whatever the order of columns and the way it was written down.
func (w *world) schema() (all []string) {
	for _, query := range schemaOf[w.db.Name()] {
		var lines []string
		require.NoError(w, w.db.Raw(query).Scan(&lines).Error)
		require.NotEmpty(w, lines, query)
		for _, line := range lines {
			all = append(all, punctuation.ReplaceAllString(blanks.ReplaceAllString(line, " "), "$1"))
		}
	}
	slices.Sort(all)
	return all
}

var versioned = []testCase{
	{"the versions make what Migrate makes", func(w *world) {
		want := w.schema()
		require.Greater(w, len(want), 60)
		w.unmigrate()
		versions := w.versions()
		for i, text := range versions {
			w.apply(text)
			have := w.schema()
			if i < len(versions)-1 {
				require.NotEqual(w, want, have, "version %d is the last one already", i+1)
			} else {
				require.Equal(w, want, have)
			}
		}
		r, trace := w.traced()
		require.NoError(w, r.Migrate(w.ctx))
		for _, statement := range trace.statements {
			require.False(w, alters(statement), "Migrate finds something to do after the last version: %s", statement)
		}
		w.dag("d", 2)
		w.queue("d", 3, past, 0)
		b := w.backfill("d", 1, 3)
		w.pass()
		w.running(map[repo.Gate]int{dagGate("d"): 2, b: 1})
	}},
}
