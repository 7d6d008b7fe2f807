package redisstore

import (
	"context"
	"time"
)

// confirm waits until as many replicas as Options.WaitReplicas says have received everything that the primary has
// written up to now. A write of its own marks that point: WAIT is about the writes of its own connection.
func (b *Backend) confirm(ctx context.Context) error {
	wanted := b.options.WaitReplicas
	if wanted == 0 {
		return nil
	}
	node, err := b.node(ctx, b.writes)
	if err != nil {
		return &ReplicationError{Wanted: wanted, Err: err}
	}
	conn := node.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.HSet(ctx, b.keys.meta, "confirmed", time.Now().UnixMicro()).Err(); err != nil {
		return &ReplicationError{Wanted: wanted, Err: err}
	}
	confirmed, err := conn.Wait(ctx, wanted, b.options.WaitTimeout).Result()
	if err == nil && int(confirmed) >= wanted {
		return nil
	}
	return &ReplicationError{Confirmed: int(confirmed), Wanted: wanted, Err: err}
}
