package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"lexigram.dev/events/internal/netfault"
)

// network is the proxy between the processes and the broker; nil where there is none.
type network struct {
	proxy  *netfault.Proxy
	faults atomic.Int64
}

// through leads a task to its broker by way of a proxy, which nil stands for where the URL names several hosts.
func (t *task) through() (*network, error) {
	u, err := url.Parse(t.Broker)
	if err != nil {
		return nil, nil //nolint:nilerr // net/url knows one host only
	}
	if strings.Contains(u.Host, ",") || u.Port() == "" {
		return nil, nil
	}
	proxy, err := netfault.Start(u.Host)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "kafka" {
		t.Proxy = proxy.Addr() // its clients are told the broker's own address
	} else {
		u.Host = proxy.Addr()
		t.Broker = u.String()
	}
	return &network{proxy: proxy}, nil
}

// disturb makes faults until ctx ends, and leaves the network in order.
func (n *network) disturb(ctx context.Context) {
	defer func() {
		n.proxy.Delay(0)
		n.proxy.Refuse(false)
		n.proxy.Swallow(false)
		n.proxy.Cut() // nobody waits for an answer that was lost
	}()
	for wait(ctx, 300*time.Millisecond+rand.N(1500*time.Millisecond)) {
		n.faults.Add(1)
		switch rand.N(4) {
		case 0:
			n.proxy.Cut()
		case 1:
			n.proxy.Delay(rand.N(10 * time.Millisecond))
			wait(ctx, rand.N(time.Second))
			n.proxy.Delay(0)
		case 2:
			n.proxy.Refuse(true)
			n.proxy.Cut()
			wait(ctx, rand.N(500*time.Millisecond))
			n.proxy.Refuse(false)
		case 3:
			n.proxy.Swallow(true)
			wait(ctx, rand.N(500*time.Millisecond))
			n.proxy.Cut()
			n.proxy.Swallow(false)
		}
	}
}

// torment kills and replaces processes of the crowds at random until ctx ends.
func torment(ctx context.Context, crowds ...*crowd) error {
	for wait(ctx, 500*time.Millisecond+rand.N(2500*time.Millisecond)) {
		c := crowds[rand.N(len(crowds))]
		if err := c.replace(rand.N(len(c.running))); err != nil {
			return err
		}
	}
	return nil
}

// restarts restarts the broker twice: when a third of the time is over, and by killing it after another third.
func (t *bustest) restarts(ctx context.Context) error {
	for _, how := range []string{"", " --kill"} {
		if !wait(ctx, t.lasts/3) {
			return nil
		}
		t.say("restart:     %s%s", t.restart, how)
		cmd := exec.Command("sh", "-c", t.restart+how) // not ended by ctx: the broker must be up in the end
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("restart the broker: %s%s: %w", t.restart, how, err)
		}
		t.restarted.Add(1)
	}
	return nil
}
