package transfer

import (
	"cmp"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// meeting is the rows of a table between two keys, in the source and in the target.
type meeting struct {
	rows int   // of the source
	upto int64 // the last key
	last bool  // there are no more on either side

	missing []row // what the target lacks, or has otherwise
	changed []any // keys of what it has otherwise
	gone    []any // keys of what the source no longer has
	first   string
}

// surplus are the keys of what is to go from the target.
func (m meeting) surplus() []any { return slices.Concat(m.changed, m.gone) }

// meet compares what was read after the same key, as far as both sides have been read.
func (t table) meet(here, there []row) meeting {
	m := meeting{last: true}
	for _, side := range [][]row{here, there} {
		if end := len(side) - 1; t.byID && len(side) == chunk && (m.last || t.id(side[end]) < m.upto) {
			m.last, m.upto = false, t.id(side[end])
		}
	}
	here, there = t.before(m, here), t.before(m, there)
	m.rows = len(here)
	wanted, held := t.byKey(here), t.byKey(there)
	for _, r := range there {
		if key := r[t.key]; wanted[key] == nil {
			m.gone = append(m.gone, key)
			m.tell("%s %s is in the target alone", t.name, shown(key))
		}
	}
	for _, r := range here {
		key := r[t.key]
		switch copied := held[key]; {
		case copied == nil:
			m.tell("%s %s is in the source alone", t.name, shown(key))
		case slices.Equal(r, copied):
			continue
		default:
			m.changed = append(m.changed, key)
			m.tell("%s %s: %s", t.name, shown(key), t.difference(r, copied))
		}
		m.missing = append(m.missing, r)
	}
	return m
}

// before are the rows up to the end of the meeting.
func (t table) before(m meeting, rows []row) []row {
	if m.last {
		return rows
	}
	n, _ := slices.BinarySearchFunc(rows, m.upto+1, func(r row, id int64) int { return cmp.Compare(t.id(r), id) })
	return rows[:n]
}

func (t table) byKey(rows []row) map[any]row {
	found := make(map[any]row, len(rows))
	for _, r := range rows {
		found[r[t.key]] = r
	}
	return found
}

// tell keeps the first difference in words.
func (m *meeting) tell(format string, args ...any) {
	if m.first == "" {
		m.first = fmt.Sprintf(format, args...)
	}
}

// difference says in which column two rows differ. It does not repeat a document, which may
// hold what is not to be shown.
func (t table) difference(here, there row) string {
	for i, c := range t.columns {
		switch {
		case here[i] == there[i]:
		case c.kind == document:
			return fmt.Sprintf("column %s differs", c.name)
		default:
			return fmt.Sprintf("column %s is %s in the source and %s in the target", c.name, shown(here[i]), shown(there[i]))
		}
	}
	return "nothing differs"
}

// shown is a value as a message has it.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case string:
		return fmt.Sprintf("%.60q", v)
	}
	return fmt.Sprint(value)
}

// id is the key of a row whose key is a number.
func (t table) id(r row) int64 { return r[t.key].(int64) }

// walk goes through a table on both sides, meeting after meeting. Each time it reads the target,
// and does what is to be done there, in the way given.
func (t table) walk(source *gorm.DB, way func(func(target *gorm.DB) (meeting, error)) (meeting, error), do func(target *gorm.DB, m meeting) error, met func(meeting)) error {
	for m := (meeting{upto: first}); !m.last; {
		here, err := t.read(source, m.upto)
		if err != nil {
			return err
		}
		after := m.upto
		m, err = way(func(target *gorm.DB) (meeting, error) {
			there, err := t.read(target, after)
			if err != nil {
				return meeting{}, err
			}
			m := t.meet(here, there)
			return m, do(target, m)
		})
		if err != nil {
			return err
		}
		met(m)
	}
	return nil
}
