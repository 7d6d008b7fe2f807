package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lexigram.dev/events/store"
)

// Member is one of those that share a number of leases: it makes itself known by a record that expires, and sees who
// else is there and who holds what. It is safe for concurrent use.
type Member struct {
	holder *Holder
	group  string
	leases int
}

// Join makes a member of a group that shares the leases 0 to n-1. It does no I/O: Appear makes it known. The name of
// the group must have no "/".
func Join(h *Holder, group string, n int) *Member {
	return &Member{holder: h, group: group, leases: n}
}

func (m *Member) memberKey() string { return m.group + "/member/" + m.holder.token }

func (m *Member) leaseKey(i int) string { return fmt.Sprintf("%s/lease/%05d", m.group, i) }

// Appear makes the member known, for as long as a lease lasts. Call it again before.
func (m *Member) Appear(ctx context.Context) error {
	_, err := m.holder.store.Apply(ctx, m.holder.put(m.memberKey(), record{Owner: m.holder.owner, Token: m.holder.token + "."}))
	return err
}

// Leave makes it unknown again, so that the others need not wait for its record to expire. Release the leases first.
func (m *Member) Leave(ctx context.Context) error {
	_, err := m.holder.store.Apply(ctx, store.Delete(m.holder.bucket, m.memberKey()))
	return err
}

// Acquire takes lease i, or gives a *HeldError.
func (m *Member) Acquire(ctx context.Context, i int) (*Lease, error) {
	return m.holder.Acquire(ctx, m.leaseKey(i))
}

// Plan tells what the member should do for everybody to have a fair share: leases to acquire, all free at present, and
// how many of its own to give back. It reads the records of the group.
func (m *Member) Plan(ctx context.Context) (take []int, give int, err error) {
	v := view{leases: m.leases, self: m.holder.token, held: map[string]int{m.holder.token: 0}, taken: map[int]bool{}}
	err = m.holder.scan(ctx, m.group, func(kind, name string, r record) error {
		token, _, _ := strings.Cut(r.Token, ".")
		if kind == "member" {
			v.held[token] += 0
			return nil
		}
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= m.leases {
			return fmt.Errorf("lease %s/lease/%s: %w: no such lease", m.group, name, store.ErrCorrupt)
		}
		v.taken[i] = true
		v.holds = append(v.holds, token)
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("share the leases of %s: %w", m.group, err)
	}
	take, give = v.plan()
	return take, give, nil
}

// scan gives the live records of a group: kind is "lease" or "member".
func (h *Holder) scan(ctx context.Context, group string, each func(kind, name string, r record) error) error {
	for stored, err := range h.store.Scan(ctx, store.Prefix(h.bucket, group+"/")) {
		if err != nil {
			return err
		}
		kind, name, _ := strings.Cut(strings.TrimPrefix(stored.Key, group+"/"), "/")
		var r record
		if err := json.Unmarshal(stored.Value, &r); err != nil || kind != "lease" && kind != "member" {
			return fmt.Errorf("record %s: %w: %w", stored.Key, store.ErrCorrupt, errors.Join(err, errors.New("it is neither a lease nor a member")))
		}
		if err := each(kind, name, r); err != nil {
			return err
		}
	}
	return nil
}

// Group is who is there, for reports.
type Group struct {
	Members []string       // the owners, in no order
	Holders map[int]string // the owner of each lease that is held
}

// Look reads who is in a group and who holds what.
func Look(ctx context.Context, s *store.Store, bucket, group string) (Group, error) {
	g := Group{Holders: map[int]string{}}
	h := Holder{store: s, bucket: bucket}
	err := h.scan(ctx, group, func(kind, name string, r record) error {
		if kind == "member" {
			g.Members = append(g.Members, r.Owner)
			return nil
		}
		i, err := strconv.Atoi(name)
		if err != nil {
			return fmt.Errorf("lease %s/lease/%s: %w: not a number", group, name, store.ErrCorrupt)
		}
		g.Holders[i] = r.Owner
		return nil
	})
	if err != nil {
		return Group{}, fmt.Errorf("look at the leases of %s: %w", group, err)
	}
	return g, nil
}

// String names the members.
func (g Group) String() string {
	owners := append(slices.Clone(g.Members), slices.Collect(maps.Values(g.Holders))...)
	slices.Sort(owners)
	return strings.Join(slices.Compact(owners), ", ")
}
