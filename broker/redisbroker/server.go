package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/redisserver"
)

// things are what we keep, in warnings.
const things = "messages"

// node gives the client of the one server that holds a topic; of a server where the topic is "".
func (b *Backend) node(ctx context.Context, topic string) (*redis.Client, error) {
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, b.keysOf(topic).topic())
	}
	return b.client.(*redis.Client), nil
}

// askServer reads INFO and, where that is allowed, CONFIG. It waits for a server that is loading its data.
func (b *Backend) askServer(ctx context.Context) (redisserver.Facts, error) {
	var f redisserver.Facts
	err := b.during(ctx, func() (err error) {
		f, err = b.readServer(ctx)
		return err
	})
	if err != nil {
		return redisserver.Facts{}, translate(ctx, err)
	}
	return f, nil
}

func (b *Backend) readServer(ctx context.Context) (redisserver.Facts, error) {
	node, err := b.node(ctx, "")
	if err != nil {
		return redisserver.Facts{}, err
	}
	info, err := node.Info(ctx).Result()
	if err != nil {
		return redisserver.Facts{}, err
	}
	f, err := redisserver.Read(info, func(name string) (value string, told bool, err error) {
		values, err := node.ConfigGet(ctx, name).Result()
		if answer(err) != "" {
			return "", false, nil
		}
		return values[name], err == nil, err
	})
	if err == nil && f.Loading {
		err = &kindError{kind: broker.ErrUnavailable, err: errors.New("the server is loading its data")}
	}
	return f, err
}

// check refuses a server that will not do, and warns of one that may lose messages.
func (b *Backend) check(ctx context.Context) error {
	f, err := b.askServer(ctx)
	if err != nil {
		return err
	}
	if f.Replica {
		return &kindError{kind: broker.ErrRefused, err: errors.New("the server is a read-only replica: name its primary")}
	}
	if !f.Supported() {
		return &kindError{kind: broker.ErrUnsupported, err: fmt.Errorf("the server is %s %s, needed is Redis 6.2 or newer, or Valkey", f.Name, f.Version)}
	}
	faults := f.Faults(things)
	if len(faults) == 0 {
		return nil
	}
	text := "confirmed messages may be lost: " + strings.Join(faults, "; ")
	if b.options.RequireDurable {
		return &kindError{kind: broker.ErrUnsupported, err: errors.New("durability is required, and " + text)}
	}
	b.options.OnWarning(fmt.Sprintf("redis broker %s: %s", b.location, text))
	return nil
}

// Describe implements broker.Backend.
func (b *Backend) Describe(ctx context.Context) (broker.Description, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Description{}, err
	}
	f, err := b.askServer(ctx)
	if err != nil {
		return broker.Description{}, err
	}
	d := broker.Description{Broker: "redis", Version: f.Name + " " + f.Version, Location: b.location, Durability: f.Durability(things)}
	if b.options.WaitReplicas > 0 {
		d.Durability += fmt.Sprintf("; received by %d replicas before it is confirmed", b.options.WaitReplicas)
	}
	return d, nil
}
