package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/broker"
)

// Who may publish a message? A lane is the messages of one key, or a message without a key by itself. On PostgreSQL a relay
// locks the lanes that it works on (SKIP LOCKED on rows would leave gaps within a key), in a transaction that lasts until it has marked what was confirmed; on SQLite one relay
// has them all. Within a lane it takes messages from the first that waits on, without gaps, as they are after the lane was
// locked. So at any time one relay publishes of a lane, from where the one before has left off, also when that was
// paused, or died: with its connection its locks are gone. A message that is committed after one with a greater id was
// seen stems from a transaction that overlapped with the other's; no order is promised for these.

// row is a message that waits.
type row struct {
	id       int64
	message  broker.Message
	attempts int   // that have failed
	nextAt   int64 // microseconds; 0: at once
	damaged  error // it cannot be published as it is
}

func (r *row) lane() string { return laneOf(r.id, r.message.Key) }

func laneOf(id int64, key string) string {
	if key == "" {
		return "#" + strconv.FormatInt(id, 10)
	}
	return "=" + key
}

// lockKey is the number of an advisory lock.
func lockKey(t Table, name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("lexigram.dev/events/outbox\x00" + t.name() + "\x00" + name)) // never fails
	return int64(h.Sum64())
}

// claim is what a relay may publish now.
type claim struct {
	rows []row
	full bool      // there may be more
	next time.Time // when the first of those that have failed may be tried again; zero: none
}

// maxPage bounds how many waiting messages are looked at in one query.
const maxPage = 5000

// pick finds up to limit rows of lanes that are free, the oldest first.
func (t Table) pick(ctx context.Context, tx *sql.Tx, limit int, now time.Time) (claim, error) {
	var (
		c       claim
		after   int64
		page    = limit
		decided = map[string]bool{} // by lane: it is ours
	)
	for len(c.rows) < limit {
		waiting, err := t.waiting(ctx, tx, after, page)
		if err != nil {
			return claim{}, err
		}
		if len(waiting) == 0 {
			return c, nil
		}
		if err := t.decide(ctx, tx, waiting, decided, &c, now); err != nil {
			return claim{}, err
		}
		if err := t.passOver(ctx, tx, waiting, after, decided, &c); err != nil {
			return claim{}, err
		}
		after = waiting[len(waiting)-1].id
		var ids []int64
		for i := range waiting {
			if decided[waiting[i].lane()] {
				ids = append(ids, waiting[i].id)
			}
		}
		before := len(c.rows)
		for len(ids) > 0 && len(c.rows) < limit { // none is passed over: that would leave a gap in its lane
			part := ids[:min(len(ids), limit-len(c.rows))]
			if err := t.load(ctx, tx, part, decided, &c, now); err != nil {
				return claim{}, err
			}
			ids = ids[len(part):]
		}
		c.full = len(ids) > 0 || len(waiting) == page
		if len(c.rows) == before { // nothing of these is to be had: look further at once
			page = min(2*page, maxPage)
		}
	}
	return c, nil
}

// waiting gives id, key and next attempt of rows.
func (t Table) waiting(ctx context.Context, tx *sql.Tx, after int64, limit int) (list []row, err error) {
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(t.in(sqlWaiting), after, limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.message.Key, &r.nextAt); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// decide finds out of each new lane whether it is ours: its first message is due, and nobody else has it.
func (t Table) decide(ctx context.Context, tx *sql.Tx, waiting []row, decided map[string]bool, c *claim, now time.Time) error {
	var candidates []string
	for i := range waiting {
		lane := waiting[i].lane()
		if _, known := decided[lane]; known {
			continue
		}
		decided[lane] = false
		if !c.later(waiting[i].nextAt, now) {
			candidates = append(candidates, lane)
		}
	}
	if t.Dialect == SQLite {
		for _, lane := range candidates {
			decided[lane] = true
		}
		return nil
	}
	if len(candidates) == 0 {
		return nil
	}
	var values strings.Builder
	for i, lane := range candidates {
		if i > 0 {
			values.WriteString(", ")
		}
		fmt.Fprintf(&values, "(%d, %d::bigint)", i, lockKey(t, lane))
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(sqlLockLanes, values.String()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var place int
		if err := rows.Scan(&place); err != nil {
			return err
		}
		decided[candidates[place]] = true
	}
	return rows.Err()
}

// passOver gives up lanes of a further page, from here on, of which a message waits at or before after that was not seen
// there: its transaction has committed since that page was read. What follows it in its lane must wait for the next claim.
// Within one page this cannot be: who sees a message sees all that were committed before it was written.
func (t Table) passOver(ctx context.Context, tx *sql.Tx, waiting []row, after int64, decided map[string]bool, c *claim) error {
	if after == 0 || t.Dialect == SQLite { // there the whole transaction sees one state
		return nil
	}
	var (
		keys  []any
		names = map[string]bool{}
		marks strings.Builder
	)
	for i := range waiting {
		key := waiting[i].message.Key
		if key == "" || names[key] || !decided[waiting[i].lane()] {
			continue
		}
		names[key] = true
		if keys = append(keys, key); len(keys) > 1 {
			marks.WriteString(", ")
		}
		fmt.Fprintf(&marks, "$%d", len(keys))
	}
	if len(keys) == 0 {
		return nil
	}
	taken := make(map[int64]bool, len(c.rows))
	for i := range c.rows {
		taken[c.rows[i].id] = true
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(t.in(sqlBefore), after, marks.String()), keys...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.message.Key); err != nil {
			return err
		}
		if !taken[r.id] {
			decided[r.lane()] = false
		}
	}
	return rows.Err()
}

// later notes the time of an attempt that is not due yet.
func (c *claim) later(nextAt int64, now time.Time) bool {
	if nextAt <= now.UnixMicro() {
		return false
	}
	if at := time.UnixMicro(nextAt); c.next.IsZero() || at.Before(c.next) {
		c.next = at
	}
	return true
}

// load reads rows whole, as they are now that their lanes are ours.
func (t Table) load(ctx context.Context, tx *sql.Tx, ids []int64, decided map[string]bool, c *claim, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(t.in(sqlRows), list(ids)))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			r       row
			m       = &r.message
			headers string
			created int64
		)
		if err := rows.Scan(&r.id, &m.ID, &m.Topic, &m.Key, &headers, &m.Body, &created, &r.attempts, &r.nextAt); err != nil {
			return err
		}
		if !decided[r.lane()] {
			continue
		}
		if c.later(r.nextAt, now) { // another relay has tried it meanwhile
			decided[r.lane()] = false
			continue
		}
		if err := json.Unmarshal([]byte(headers), &m.Headers); err != nil {
			r.damaged = fmt.Errorf("%w: its headers are no JSON object of strings: %w", broker.ErrInvalid, err)
		}
		m.Time = time.UnixMicro(created).UTC()
		c.rows = append(c.rows, r)
	}
	return rows.Err()
}
