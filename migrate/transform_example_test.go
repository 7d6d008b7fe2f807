package migrate_test

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// pairs makes one event of each two readings of a meter, and drops all else.
func pairs() migrate.Transform {
	first := map[event.StreamID]string{}
	return migrate.Transform{Event: func(e event.Recorded) ([]migrate.Output, error) {
		if e.Type != "meter.read" {
			return nil, nil
		}
		before, second := first[e.Stream]
		if !second {
			first[e.Stream] = string(e.Data)
			return nil, nil
		}
		delete(first, e.Stream)
		out, err := migrate.Same(e)
		out.Event.Type, out.Event.Data = "meter.pair", fmt.Appendf(nil, "[%s,%s]", before, e.Data)
		return []migrate.Output{out}, err
	}}
}

func ExampleCopyTransformed() {
	ctx := context.Background()
	from := store.New(memstore.New(memstore.Options{}), store.Options{})
	to := store.New(memstore.New(memstore.Options{}), store.Options{})
	for n := range 4 {
		if _, err := from.Append(ctx, "meter-1", store.Any(), event.Pending{Type: "meter.read", Data: fmt.Append(nil, n)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	o := migrate.TransformOptions{Name: "pairs"}
	copied, err := migrate.CopyTransformed(ctx, from, to, pairs, o)
	fmt.Println(copied.Events, copied.Written, err)
	compared, err := migrate.CompareTransformed(ctx, from, to, pairs, o)
	fmt.Println(compared.OK(), err)
	for e := range to.ReadLog(ctx, store.LogRead{}) {
		fmt.Println(e.Stream, e.Type, string(e.Data))
	}
	// Output:
	// 4 2 <nil>
	// true <nil>
	// meter-1 meter.pair [0,1]
	// meter-1 meter.pair [2,3]
}
