package testdb

import (
	"io"
	"net"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proxy stands between a client and the server, and breaks connections when it is told to.
type Proxy struct {
	server string
	heard  bool
	armed  atomic.Bool

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

// saysCommit is true of the statement, and not of READ COMMITTED.
var saysCommit = regexp.MustCompile(`(?i)commit(\x00|$)`)

// Through is the database by way of a proxy. It cuts a connection on which the client says
// COMMIT, when it was told to [Proxy.LoseCommit]: when the server has heard it and answered,
// or before.
func (d Database) Through(t testing.TB, heard bool) (Database, *Proxy) {
	u, err := url.Parse(d.DSN)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	p := &Proxy{server: u.Host, heard: heard, conns: map[net.Conn]bool{}}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	u.Host = listener.Addr().String()
	d.DSN = u.String()
	return d, p
}

// LoseCommit has the next COMMIT lost.
func (p *Proxy) LoseCommit() { p.armed.Store(true) }

// Lost reports whether that has happened.
func (p *Proxy) Lost() bool { return !p.armed.Load() }

// SetDown cuts all connections and lets none in, or lets them in again.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// enter counts a connection in, unless the proxy is down.
func (p *Proxy) enter(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.down
}

func (p *Proxy) leave(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	_ = conn.Close()
}

// serve hands bytes on until the client says the COMMIT that is to be lost.
func (p *Proxy) serve(client net.Conn) {
	defer p.leave(client)
	if !p.enter(client) {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var cut atomic.Bool
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answer(client, server, &cut)
		if !cut.Load() {
			p.leave(client) // the server has gone
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if saysCommit.Match(buffer[:n]) && p.armed.CompareAndSwap(true, false) {
			cut.Store(true)
			if p.heard {
				_, _ = server.Write(buffer[:n])
				<-answered
			}
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// answer hands on what the server says, until the cut: that answer is read and thrown away.
func answer(client io.Writer, server io.Reader, cut *atomic.Bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil || cut.Load() {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
