package locking_test

import (
	"io"
	"net"
	"net/url"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
)

// losesCommit cuts the connection when the client says COMMIT: before the server hears of it,
// or when it has answered. The client cannot tell, and must not try again.
func (e *engine) losesCommit(heard bool) {
	u, err := url.Parse(e.DSN)
	require.NoError(e, err)
	p := &proxy{server: u.Host, heard: heard}
	u.Host = p.listen(e.T)
	d := e.Database
	d.DSN = u.String()
	db := d.Open(e.T)
	_, err = locking.Server(e.ctx, db)
	require.NoError(e, err)
	p.armed.Store(true)
	tries := 0
	n, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
		tries++
		return 7, add(tx, 1, 1)
	})
	require.ErrorIs(e, err, locking.ErrCommitUnknown)
	require.NotErrorIs(e, err, locking.ErrContention)
	require.Equal(e, []int{0, 1}, []int{n, tries})
	require.False(e, p.armed.Load(), "the proxy has seen COMMIT")
	require.Equal(e, map[bool]int{true: 1, false: 0}[heard], e.gate(1).N)
	_, err = locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) { return 7, add(tx, 2, 1) })
	require.NoError(e, err, "the pool has other connections")
}

// saysCommit is true of the statement, and not of READ COMMITTED.
var saysCommit = regexp.MustCompile(`(?i)commit(\x00|$)`)

// proxy hands bytes on until the client says COMMIT.
type proxy struct {
	server string
	heard  bool // let the server hear it, and withhold the answer
	armed  atomic.Bool
}

func (p *proxy) listen(t *testing.T) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return listener.Addr().String()
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var cut atomic.Bool
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		p.answer(client, server, &cut)
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
func (p *proxy) answer(client io.Writer, server io.Reader, cut *atomic.Bool) {
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
