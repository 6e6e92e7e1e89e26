package main

import (
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/repo"
)

// session is a database that is open, and the repository over it.
type session struct {
	*repo.Repo
	db *gorm.DB
}

// open opens the database, which must exist. The caller closes the session.
func (a *app) open(options ...repo.Option) (*session, error) {
	if err := a.locate(); err != nil {
		return nil, err
	}
	return connect(a.at.Existing(), options...)
}

// openNew is open, but makes the file of a database that is a file.
func (a *app) openNew(options ...repo.Option) (*session, error) {
	if err := a.locate(); err != nil {
		return nil, err
	}
	return connect(a.at, options...)
}

// locate finds out which database is meant.
func (a *app) locate() (err error) {
	a.at, err = opendb.Parse(a.dsn)
	return err
}

func connect(at opendb.DSN, options ...repo.Option) (*session, error) {
	db, err := at.Open()
	if err != nil {
		return nil, err
	}
	s := &session{db: db}
	if s.Repo, err = repo.New(db, options...); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close closes the pool; what was committed is safe whatever it says.
func (s *session) close() {
	if pool, err := s.db.DB(); err == nil {
		_ = pool.Close()
	}
}
