package redisstore_test

import (
	"net/url"
	"testing"

	"lexigram.dev/events/internal/netfault"
)

// proxy stands between the store and the server, and can fail as networks and servers do.
type proxy struct {
	*netfault.Proxy
	url string // of the server, through the proxy
}

func newProxy(t *testing.T, storeURL string) *proxy {
	t.Helper()
	u, err := url.Parse(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netfault.Start(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	u.Host = p.Addr()
	return &proxy{Proxy: p, url: u.String()}
}
