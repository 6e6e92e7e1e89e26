package repo

// meter tells the application how far long work has come.
type meter struct {
	report      func(done, total int)
	done, total int
}

// meter begins work on so many rows. Work that is tried anew begins with a meter of its own.
func (r *Repo) meter(total int) *meter { return &meter{report: r.progress, total: total} }

// add counts rows that are done.
func (m *meter) add(rows int) {
	m.done += rows
	if m.report != nil {
		m.report(m.done, m.total)
	}
}
