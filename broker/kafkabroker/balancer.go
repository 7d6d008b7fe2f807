package kafkabroker

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balancer is Kafka's cooperative sticky assignment, to which it adds one thing: a member that has partitions and wants
// no topics keeps those. That is what a stream says of itself which leaves, or is stuck. Members that do not know of it,
// of other programs, can share a group with ours; when one of those assigns the partitions, they are taken away in the
// usual way.
type balancer struct {
	kgo.GroupBalancer
	stream *stream
}

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	has, wants := b.stream.claims(current)
	if !wants {
		topics = nil
	}
	return b.GroupBalancer.JoinGroupMetadata(topics, has, generation)
}

// MemberBalancer implements kgo.GroupBalancer.
func (b *balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b.stream.mu.Lock()
	b.stream.alone = len(members) == 1
	b.stream.mu.Unlock()
	inner, topics, err := b.GroupBalancer.MemberBalancer(members)
	if consumers, ok := inner.(*kgo.ConsumerBalancer); ok && err == nil {
		return &keeper{consumers}, topics, nil
	}
	return inner, topics, err
}

// keeper lets those members keep their partitions.
type keeper struct{ *kgo.ConsumerBalancer }

// BalanceOrError implements kgo.GroupMemberBalancerOrError.
func (k *keeper) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	into, err := k.ConsumerBalancer.BalanceOrError(topics)
	if plan, ok := into.(*kgo.BalancePlan); ok && err == nil {
		k.keep(plan)
	}
	return into, err
}

func (k *keeper) keep(plan *kgo.BalancePlan) {
	type claim struct {
		member     *kmsg.JoinGroupResponseMember
		generation int32
		place      place
	}
	var claims []claim
	k.EachMember(func(member *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		if len(meta.Topics) > 0 {
			return
		}
		for _, owned := range meta.OwnedPartitions {
			for _, n := range owned.Partitions {
				claims = append(claims, claim{member, meta.Generation, place{owned.Topic, n}})
			}
		}
	})
	taken := map[place]bool{}
	for _, topics := range plan.AsMemberIDMap() {
		for topic, numbers := range topics {
			for _, n := range numbers {
				taken[place{topic, n}] = true
			}
		}
	}
	// A claim of an older generation is void: its partition has been another's since.
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(b.generation, a.generation) })
	for _, c := range claims {
		if !taken[c.place] {
			taken[c.place] = true
			plan.AddPartition(c.member, c.place.topic, c.place.partition)
		}
	}
}
