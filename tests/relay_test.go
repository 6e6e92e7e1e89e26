package tests

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// relay stands between schedulers and their server, and does to their connections what a bad
// network does.
type relay struct {
	server string
	slow   atomic.Int64 // the longest time for which it keeps bytes back
	lose   atomic.Int64 // how many COMMITs of passes that start runs are still to be lost
	heard  atomic.Int64 // of those lost: let through, and only the answer withheld
	lost   atomic.Int64 // lost so far

	mu    sync.Mutex
	pairs map[*pair]bool
}

// pair is a connection of a client and the relay's own to the server.
type pair struct {
	client, server *net.TCPConn
	deaf           atomic.Bool // the server's answers are thrown away
	starts         bool        // the transaction starts runs
	quiet          chan struct{}
}

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// through makes a relay, and the database as it is seen through it.
func (w *world) through(d testdb.Database) (*relay, testdb.Database) {
	u, err := url.Parse(d.DSN)
	require.NoError(w, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w, err)
	w.Cleanup(func() { _ = listener.Close() })
	r := &relay{server: u.Host, pairs: map[*pair]bool{}}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(client.(*net.TCPConn))
		}
	}()
	u.Host = listener.Addr().String()
	if d.Engine == "PostgreSQL" {
		u.RawQuery = "default_query_exec_mode=exec" // so that each statement can be read on its way
	}
	d.DSN = u.String()
	return r, d
}

func (r *relay) serve(client *net.TCPConn) {
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server.(*net.TCPConn), quiet: make(chan struct{})}
	r.mu.Lock()
	r.pairs[p] = true
	r.mu.Unlock()
	go func() {
		defer close(p.quiet)
		r.hand(p.client, p.server, func([]byte) bool { return !p.deaf.Load() })
		_ = p.client.CloseWrite()
	}()
	r.hand(p.server, p.client, func(said []byte) bool { return r.hears(p, said) })
	_ = p.server.CloseWrite()
	<-p.quiet
	p.close()
	r.mu.Lock()
	delete(r.pairs, p)
	r.mu.Unlock()
}

// hand passes bytes on for as long as it may.
func (r *relay) hand(to io.Writer, from io.Reader, may func([]byte) bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || !may(buffer[:n]) {
			return
		}
		if longest := r.slow.Load(); longest > 0 {
			<-time.After(time.Duration(rand.Int64N(longest)))
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// saysCommit is true of the statement, and not of READ COMMITTED.
var saysCommit = regexp.MustCompile(`(?i)commit(\x00|$)`)

// startsRuns is true of the statement that marks runs as running.
var startsRuns = regexp.MustCompile(`UPDATE [^;]*scheduled_by_job_id`)

// hears decides what becomes of what a client says. Of two COMMITs that it loses, the server
// hears one.
func (r *relay) hears(p *pair, said []byte) bool {
	p.starts = p.starts || startsRuns.Match(said)
	if !saysCommit.Match(said) || !p.starts {
		return true
	}
	p.starts = false
	for left := r.lose.Load(); left > 0; left = r.lose.Load() {
		if !r.lose.CompareAndSwap(left, left-1) {
			continue
		}
		r.lost.Add(1)
		if left%2 == 0 {
			r.heard.Add(1)
			p.deaf.Store(true)
			_, _ = p.server.Write(said)
		} else {
			p.close()
		}
		return false
	}
	return true
}

// each does something with every connection.
func (r *relay) each(do func(*pair)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.pairs {
		do(p)
	}
}
