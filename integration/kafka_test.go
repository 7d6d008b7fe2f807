package integration

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"

	"lexigram.dev/events/broker/kafkabroker"
)

func kafka() protocol {
	return protocol{variable: "TEST_KAFKA_URL", open: kafkabroker.Driver().Open, listen: listenKafka, send: sendKafka}
}

func kafkaHosts(t *testing.T, brokerURL string) []string {
	t.Helper()
	u, err := url.Parse(brokerURL)
	must(t, err)
	return strings.Split(u.Host, ",")
}

func kafkaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	return c
}

func listenKafka(t *testing.T, brokerURL, topic string) func(t *testing.T) *cloudevents.Event {
	t.Helper()
	consumer, err := sarama.NewConsumer(kafkaHosts(t, brokerURL), kafkaConfig())
	must(t, err)
	partitions, err := consumer.Partitions(topic)
	must(t, err)
	records := make(chan *sarama.ConsumerMessage, 16)
	for _, p := range partitions {
		partition, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		must(t, err)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for r := range partition.Messages() {
				records <- r
			}
		}()
		t.Cleanup(func() {
			must(t, partition.Close())
			<-ended
		})
	}
	t.Cleanup(func() { _ = consumer.Close() })
	return func(t *testing.T) *cloudevents.Event {
		t.Helper()
		select {
		case r := <-records:
			if string(r.Key) != "order-7" {
				t.Errorf("the record's key is %q", r.Key)
			}
			e, err := binding.ToEvent(t.Context(), kafka_sarama.NewMessageFromConsumerMessage(r))
			must(t, err)
			return e
		case <-time.After(patience):
			t.Fatalf("our event did not come within %v", patience)
			return nil
		}
	}
}

func sendKafka(t *testing.T, brokerURL, topic string, e cloudevents.Event) {
	t.Helper()
	sender, err := kafka_sarama.NewSender(kafkaHosts(t, brokerURL), kafkaConfig(), topic)
	must(t, err)
	defer func() { must(t, sender.Close(context.Background())) }()
	client, err := cloudevents.NewClient(sender)
	must(t, err)
	if result := client.Send(t.Context(), e); !cloudevents.IsACK(result) {
		t.Fatal(result)
	}
}
