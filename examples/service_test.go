//go:build cgo

package examples

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// instance starts the service, and returns its address.
func (c *crew) instance() (address string) {
	listening := regexp.MustCompile(`(?m)^listening on (.*)$`)
	before := len(listening.FindAllString(c.text(), -1))
	c.start([]string{"LISTEN=127.0.0.1:0"})
	c.until("it listens", func() bool {
		found := listening.FindAllStringSubmatch(c.text(), -1)
		if len(found) > before {
			address = found[before][1]
		}
		return address != ""
	})
	return address
}

// TestServiceOnSQLite: two instances take orders, and show one gate. They are stopped in the
// middle, and what they have not delivered another one does.
func TestServiceOnSQLite(t *testing.T) {
	c := newCrew(t, "./examples/service")
	addresses := []string{c.instance(), c.instance()}
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			response, err := http.PostForm(addresses[n%2]+"/orders", url.Values{"item": {"tea & <biscuits>"}})
			if err == nil {
				_ = response.Body.Close()
			}
			if err != nil || response.StatusCode != http.StatusAccepted {
				t.Errorf("order %d: %v %v", n, response, err)
			}
		})
	}
	c.until("the page shows the gate full", func() bool { return strings.Contains(page(t, addresses[1]), "2 of 2") })
	all.Wait()
	refused, err := http.PostForm(addresses[0]+"/orders", nil)
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	c.end()
	ended, _ := c.executed("")
	require.Less(t, len(ended), 20, "the rest waits")

	address := c.instance()
	c.until("the page shows all delivered", func() bool { return strings.Count(page(t, address), ", delivered") == 20 })
	require.Contains(t, page(t, address), "tea &amp; &lt;biscuits&gt;, delivered")
	require.Contains(t, page(t, address), `http-equiv="refresh"`)
	c.end()
	c.once(20, 2, "")
}

func page(t *testing.T, address string) string {
	response, err := http.Get(address)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotRegexp(t, `([3-9]|\d\d) of 2`, string(text))
	return string(text)
}
