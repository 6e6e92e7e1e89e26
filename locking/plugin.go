package locking

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"weak"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
)

// Name is the plugin's name in gorm.DB.Plugins.
const Name = "usher:locking"

// Plugin is usher's [gorm.Plugin]. Make it with [New]. One serves any number of databases.
type Plugin struct {
	attempts    int
	noKeyUpdate bool
	strategy    *dialect.Strategy

	defaultIsolation bool

	servers sync.Map // of what has been found, a *dialect.Server, by database
}

// Option changes how the plugin works.
type Option func(*Plugin)

// Attempts bounds how often [InTx] tries a transaction that loses conflicts. Values below 1
// count as 1. Defaults to 12.
func Attempts(n int) Option {
	return func(p *Plugin) { p.attempts = max(1, n) }
}

// NoKeyUpdate takes FOR NO KEY UPDATE instead of FOR UPDATE where the engine has it
// (PostgreSQL), so that rows with a foreign key to a held row can be inserted meanwhile.
// Defaults to off; usher's own tables have no foreign keys.
func NoKeyUpdate() Option {
	return func(p *Plugin) { p.noKeyUpdate = true }
}

// WithStrategy overrides the strategy that fits the engine found. It is for servers that
// usher misjudges, and for tests; a strategy that the engine cannot follow breaks the limits.
// Defaults to what [dialect.Detect] chooses.
func WithStrategy(s dialect.Strategy) Option {
	return func(p *Plugin) { p.strategy = &s }
}

// DefaultIsolation leaves the isolation level of usher's transactions to the engine's default,
// where [InTx] otherwise asks for READ COMMITTED. Held rows are then fenced as well: under a
// snapshot a lock alone does not show what the row's last holder did. Defaults to off.
func DefaultIsolation() Option {
	return func(p *Plugin) { p.defaultIsolation = true }
}

// New makes the plugin for db.Use. It asks the database nothing yet: the engine is found at
// first use, so that an application can start while its database is down. Call [Server] to
// have it found, or refused, at once.
func New(options ...Option) *Plugin {
	p := &Plugin{attempts: 12}
	for _, option := range options {
		option(p)
	}
	return p
}

// Name implements [gorm.Plugin].
func (p *Plugin) Name() string { return Name }

// Initialize implements [gorm.Plugin]: it installs the callbacks that watch transactions and
// give queries with [SkipLocked] their lock.
func (p *Plugin) Initialize(db *gorm.DB) error {
	c := db.Callback()
	for _, err := range []error{
		c.Query().Before("gorm:query").Register("usher:lock", p.lock),
		c.Row().Before("gorm:row").Register("usher:lock", p.lock),
		c.Create().Before("*").Register("usher:before", refuseIfGone),
		c.Query().Before("*").Register("usher:before", refuseIfGone),
		c.Update().Before("*").Register("usher:before", refuseIfGone),
		c.Delete().Before("*").Register("usher:before", refuseIfGone),
		c.Row().Before("*").Register("usher:before", refuseIfGone),
		c.Raw().Before("*").Register("usher:before", refuseIfGone),
		c.Create().After("*").Register("usher:after", noteIfGone),
		c.Query().After("*").Register("usher:after", noteIfGone),
		c.Update().After("*").Register("usher:after", noteIfGone),
		c.Delete().After("*").Register("usher:after", noteIfGone),
		c.Row().After("*").Register("usher:after", noteIfGone),
		c.Raw().After("*").Register("usher:after", noteIfGone),
	} {
		if err != nil {
			return fmt.Errorf("install usher: %w", err)
		}
	}
	return nil
}

// Server is the database server behind db and the strategy that fits it. The first call asks
// the server; later ones answer from memory. It returns [ErrNoPlugin], or the refusal of
// [dialect.Detect].
func Server(ctx context.Context, db *gorm.DB) (*dialect.Server, error) {
	p, err := plugin(db)
	if err != nil {
		return nil, err
	}
	return p.detect(ctx, db)
}

// Found is what [Server] has found before, or nil. It asks nothing.
func Found(db *gorm.DB) *dialect.Server {
	p, err := plugin(db)
	if err != nil {
		return nil
	}
	return p.found(db)
}

// Is reports whether err, from the database behind db, is of the given class. Until the engine
// has been found, GORM's name for it has to do.
func Is(db *gorm.DB, err error, class dialect.Class) bool {
	if err == nil {
		return false
	}
	if server := Found(db); server != nil {
		return server.Class(err) == class
	}
	return dialect.Classify(db.Dialector, err) == class
}

// plugin is the one installed in db.
func plugin(db *gorm.DB) (*Plugin, error) {
	if p, ok := db.Plugins[Name].(*Plugin); ok {
		return p, nil
	}
	return nil, ErrNoPlugin
}

// found is what is known of the server behind db, or nil. The callbacks are what all sessions of a
// database share, and no two databases.
func (p *Plugin) found(db *gorm.DB) *dialect.Server {
	known, _ := p.servers.Load(weak.Make(db.Callback()))
	server, _ := known.(*dialect.Server)
	return server
}

// keep remembers the first answer for a database, as long as that is in use, and returns it.
func (p *Plugin) keep(db *gorm.DB, server *dialect.Server) *dialect.Server {
	database := weak.Make(db.Callback())
	first, known := p.servers.LoadOrStore(database, server)
	if !known {
		runtime.AddCleanup(db.Callback(), func(gone any) { p.servers.Delete(gone) }, any(database))
	}
	return first.(*dialect.Server)
}

// detect asks until there is an answer, and keeps it. Nobody waits for another caller's
// question, which may itself wait for the connection that this caller has.
func (p *Plugin) detect(ctx context.Context, db *gorm.DB) (*dialect.Server, error) {
	if found := p.found(db); found != nil {
		return found, nil
	}
	server, err := dialect.Detect(ctx, Unprepared(db))
	if err != nil {
		return nil, err
	}
	if p.defaultIsolation && server.Strategy != dialect.SingleWriter {
		server.Strategy.Fence = true
		server.Why += ", and the isolation is the engine's default"
	}
	if p.strategy != nil {
		server.Strategy, server.Why = *p.strategy, "the application chose it"
	}
	return p.keep(db, server), nil
}

// inTransaction reports whether db is a transaction.
func inTransaction(db *gorm.DB) bool {
	_, ok := db.Statement.ConnPool.(gorm.TxCommitter)
	return ok
}
