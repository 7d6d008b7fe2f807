package aggregate_test

import (
	"strconv"
	"testing"

	"lexigram.dev/events/aggregate"
)

// BenchmarkUpdate is one command on a hot aggregate over the memory store. Without a cache it begins with a load of up to
// 100 events.
func BenchmarkUpdate(b *testing.B) {
	for name, o := range map[string]aggregate.Options{
		"snapshots":           {Snapshots: &aggregate.Snapshots{}},
		"snapshots and cache": {Snapshots: &aggregate.Snapshots{}, Cache: 1},
	} {
		o.Snapshots.Codec = balanceCodec{}
		b.Run(name, func(b *testing.B) {
			bank := newBank(b)
			accounts := bank.accounts(b, o)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := accounts.Update(b.Context(), "ada", func(a *account) error { return a.deposit(1) }); err != nil {
					b.Fatal(err)
				}
				bank.commits, bank.reads = nil, nil
			}
		})
	}
}

// BenchmarkLoad is the load of 1,000 events: reading, decoding JSON, folding.
func BenchmarkLoad(b *testing.B) {
	bank := newBank(b)
	bank.deposits(b, "ada", 1000)
	accounts := bank.accounts(b, aggregate.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := accounts.Load(b.Context(), "ada"); err != nil {
			b.Fatal(err)
		}
		bank.reads = nil
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "events/s")
}

// balanceCodec keeps the balance alone, so that snapshots do not grow with the number of events.
type balanceCodec struct{}

func (balanceCodec) ContentType() string { return "text/plain" }

func (balanceCodec) Marshal(v any) ([]byte, error) {
	return strconv.AppendInt(nil, int64(v.(*account).Balance), 10), nil
}

func (balanceCodec) Unmarshal(data []byte, v any) (err error) {
	v.(*account).Balance, err = strconv.Atoi(string(data))
	return err
}
