package kafkabroker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"lexigram.dev/events/checkup"
)

func TestAClusterIsExamined(t *testing.T) {
	findings, err := open(t, server(t)).Diagnose(t.Context())
	if err != nil || checkup.Worst(findings) == checkup.Fail {
		t.Fatalf("found %+v, %v", findings, err)
	}
	for _, check := range []string{"version", "leader election", "offsets", "replicas"} {
		if f, ok := checkup.Find(findings, check); !ok || f.Found == "" {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if f, _ := checkup.Find(findings, "durability"); f.Level != checkup.Warn { // of one broker
		t.Errorf("durability: %+v", f)
	}
}

func TestSettingsThatLoseMessagesAreFound(t *testing.T) {
	good := map[string]string{"default.replication.factor": "3", "min.insync.replicas": "2"}
	for name, c := range map[string]struct {
		found checkup.Finding
		want  checkup.Level
	}{
		"three brokers":    {(&Backend{}).durable(good, 3, ""), checkup.OK},
		"two brokers":      {(&Backend{}).durable(good, 2, ""), checkup.Warn},
		"one in sync":      {(&Backend{}).durable(map[string]string{"default.replication.factor": "3", "min.insync.replicas": "1"}, 3, ""), checkup.Warn},
		"nothing told":     {(&Backend{}).durable(nil, 3, ""), checkup.Warn},
		"unclean":          {election(map[string]string{"unclean.leader.election.enable": "true"}), checkup.Fail},
		"clean":            {election(nil), checkup.OK},
		"short offsets":    {retention(map[string]string{"offsets.retention.minutes": "1440"}), checkup.Warn},
		"offsets not told": {retention(nil), checkup.OK},
		"all in sync":      {inSync(partitions(0, 2, 2)), checkup.OK},
		"behind":           {inSync(partitions(0, 2, 1)), checkup.Warn},
		"headless":         {inSync(partitions(-1, 2, 2)), checkup.Fail},
	} {
		if c.found.Level != c.want || (c.found.Cure == "") != (c.want == checkup.OK) {
			t.Errorf("%s: %+v, want %s", name, c.found, c.want)
		}
	}
}

// partitions is a topic of one partition with so many replicas, of which so many are in sync.
func partitions(leader int32, replicas, isr int) kadm.TopicDetails {
	p := kadm.PartitionDetail{Topic: "t", Leader: leader, Replicas: make([]int32, replicas), ISR: make([]int32, isr)}
	return kadm.TopicDetails{"t": {Topic: "t", Partitions: kadm.PartitionDetails{0: p}}}
}
