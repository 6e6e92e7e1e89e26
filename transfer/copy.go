package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
)

// Table is what was done with a table.
type Table struct {
	// Name is the table in the source.
	Name string `json:"table"`
	// Rows is how many it has there.
	Rows int `json:"rows"`
	// Copied is how many of them were written to the target; the others were there.
	Copied int `json:"copied"`
	// Removed is how many the target had that the source no longer has.
	Removed int `json:"removed"`
	// Left are the columns that it has there and that were not copied, since they are not usher's.
	Left []string `json:"left,omitempty"`
}

// Copy copies everything of usher's from one database to another, and returns what it did, table by
// table. Both must have usher's tables, and usher's plugin.
//
// The source is read as it was at one instant. The target must be empty, or a copy that was
// begun: then what it lacks is added, what has changed since is replaced, and what is gone from the
// source is removed. So a copy that was interrupted goes on where it was when it is called again.
// In the end every row of both is compared, the source's as it is then; only then is the
// target taken for finished, and never written to again: a later call only compares.
//
// Stop the schedulers, and all else that changes the source, before the copy (an earlier one
// may be made [Ahead]), and let nothing work on the target before Copy has returned. The whole
// of it must fit into GORM's DefaultTransactionTimeout, if from has one.
//
// It returns [ErrAlive], [ErrForeign], [ErrUnfinished], [ErrDiffers], [locking.ErrNoPlugin], the
// context's error, or the database's; with an error the tables say how far it has come.
func Copy(ctx context.Context, from, to *gorm.DB, options ...Option) ([]Table, error) {
	c := &copying{settings: settings{silence: DefaultSilence, progress: func(int, int) {}}, to: to}
	for _, option := range options {
		option(&c.settings)
	}
	err := c.run(ctx, from)
	if err != nil {
		return c.report, fmt.Errorf("copy: %w", err)
	}
	return c.report, nil
}

// copying is one call of Copy.
type copying struct {
	settings
	to          *gorm.DB
	tables      []table
	report      []Table
	found       target
	done, total int
}

func (c *copying) run(ctx context.Context, from *gorm.DB) (err error) {
	if c.tables, err = tablesOf(from); err != nil {
		return err
	}
	if err := reading(ctx, from, func(source *gorm.DB) error { return c.bring(ctx, source) }); err != nil {
		return err
	}
	if c.ahead && c.found != foreign {
		return nil
	}
	if err := reading(ctx, from, func(source *gorm.DB) error { return c.compare(ctx, source) }); err != nil {
		return err
	}
	if c.found == foreign {
		return nil
	}
	return c.leave(ctx)
}

// reading reads all of a database as of one instant.
func reading(ctx context.Context, db *gorm.DB, body func(tx *gorm.DB) error) error {
	_, err := locking.Snapshot(ctx, db, func(tx *gorm.DB) (struct{}, error) { return struct{}{}, body(tx) })
	return err
}

// bring makes the target equal to the source. First it removes what is not to be there, then it
// adds what is missing: a unique index might else have both.
func (c *copying) bring(ctx context.Context, source *gorm.DB) (err error) {
	if err := c.quiet(source); err != nil {
		return err
	}
	if err := c.measure(source); err != nil {
		return err
	}
	if c.found, err = c.enter(ctx); err != nil || c.found == foreign {
		return err
	}
	if err := c.unused(ctx, source); err != nil {
		return err
	}
	if c.found == begun {
		c.total += c.total / 2
		if err := c.each(ctx, source, remove, func(of *Table, m meeting) { of.Removed += len(m.gone) }); err != nil {
			return err
		}
	}
	if err := c.each(ctx, source, replace, func(of *Table, m meeting) { of.Copied += len(m.missing) }); err != nil {
		return err
	}
	return c.goBeyond(ctx)
}

// measure counts what there is to do: each row is written, and compared. It says what there is not.
func (c *copying) measure(source *gorm.DB) error {
	for _, t := range c.tables {
		n, err := t.count(source)
		if err != nil {
			return fmt.Errorf("count %s: %w", t.name, err)
		}
		left, err := t.foreign(source)
		if err != nil {
			return fmt.Errorf("look at the columns of %s: %w", t.name, err)
		}
		c.report = append(c.report, Table{Name: t.name, Rows: int(n), Left: left})
		c.total += 2 * int(n)
	}
	return nil
}

func remove(tx *gorm.DB, t table, m meeting) error { return t.remove(tx, m.surplus()) }

func replace(tx *gorm.DB, t table, m meeting) error {
	if err := t.remove(tx, m.surplus()); err != nil {
		return err
	}
	return t.insert(tx, m.missing)
}

// each goes through all tables, and does the same with each meeting, in a transaction of its own.
func (c *copying) each(ctx context.Context, source *gorm.DB, do func(*gorm.DB, table, meeting) error, note func(*Table, meeting)) error {
	way := func(body func(*gorm.DB) (meeting, error)) (meeting, error) { return c.marked(ctx, body) }
	for i, t := range c.tables {
		err := t.walk(source, way, func(tx *gorm.DB, m meeting) error { return do(tx, t, m) }, func(m meeting) {
			note(&c.report[i], m)
			c.advance(m)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) advance(m meeting) {
	c.done += m.rows
	c.progress(c.done, max(c.done, c.total))
}

// compare looks at every row of both.
func (c *copying) compare(ctx context.Context, source *gorm.DB) error {
	if err := c.quiet(source); err != nil {
		return err
	}
	return reading(ctx, c.to, func(target *gorm.DB) error {
		way := func(body func(*gorm.DB) (meeting, error)) (meeting, error) { return body(target) }
		for i, t := range c.tables {
			c.report[i].Rows = 0
			err := t.walk(source, way, func(_ *gorm.DB, m meeting) error { return c.differs(m.first) }, func(m meeting) {
				c.report[i].Rows += m.rows
				c.advance(m)
			})
			if err != nil {
				return err
			}
			for side, db := range map[string]*gorm.DB{"source": source, "target": target} {
				if n, err := t.count(db); err != nil || int(n) != c.report[i].Rows {
					return errors.Join(err, c.differs(fmt.Sprintf("%s has %d rows in the %s, of which %d were found by their ids", t.name, n, side, c.report[i].Rows)))
				}
			}
		}
		return nil
	})
}

// differs is the error of a difference; nil when there is none.
func (c *copying) differs(difference string) error {
	switch {
	case difference == "":
		return nil
	case c.found == foreign:
		return fmt.Errorf("%w: %s", ErrForeign, difference)
	}
	return fmt.Errorf("%w: %s", ErrDiffers, difference)
}

// goBeyond has the target give ids beyond those that were copied.
func (c *copying) goBeyond(ctx context.Context) error {
	server, err := locking.Server(ctx, c.to)
	if err != nil || server.GoBeyond() == "" {
		return err
	}
	_, err = locking.InTx(ctx, c.to, func(tx *gorm.DB) (struct{}, error) {
		for _, t := range c.tables {
			name, err := t.in(tx)
			if err != nil {
				return struct{}{}, err
			}
			values := []any{sql.Named("name", tx.Statement.Quote(name)), sql.Named("table", name)}
			if t.byID {
				err = tx.Exec(server.GoBeyond(), values...).Error
			}
			if err != nil {
				return struct{}{}, fmt.Errorf("give %s ids beyond those copied: %w", t.name, err)
			}
		}
		return struct{}{}, nil
	})
	return err
}
