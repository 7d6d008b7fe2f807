package schema

import (
	"errors"
	"fmt"
)

// Upcaster brings the encoded data of one version of an event to a later version.
type Upcaster struct {
	From int // the stored version that Func understands
	To   int // the version that Func gives; default From + 1

	// Func gets the data as it is stored, and returns it in the newer shape, in the same encoding. It must not change
	// or keep its input, and is called from many goroutines at once.
	Func func(data []byte) ([]byte, error)

	typed func(Codec) func(data []byte) ([]byte, error) // gives Func, where that is nil
}

// Upcast makes an upcaster, from a version to the next one, of a function over Go types: Old is the shape of the version
// from, New that of the next. Data goes through the codec of the type that it is registered with. What the stored data
// has and Old does not is lost on the way.
func Upcast[Old, New any](from int, f func(Old) (New, error)) Upcaster {
	u := Upcaster{From: from}
	if f == nil {
		return u
	}
	u.typed = func(codec Codec) func([]byte) ([]byte, error) {
		return func(data []byte) ([]byte, error) {
			var before Old
			if err := codec.Unmarshal(data, &before); err != nil {
				return nil, fmt.Errorf("decode into %T: %w", before, err)
			}
			after, err := f(before)
			if err != nil {
				return nil, err
			}
			return codec.Marshal(&after)
		}
	}
	return u
}

// chain holds the upcasters of one type by the version they start from.
type chain map[int]Upcaster

// newChain checks that from every version in [oldest, current) there is exactly one way, and that it ends at current.
// Since every step goes up and none goes beyond current, a step from each version is enough.
func newChain(oldest, current int, upcasters []Upcaster, codec Codec) (chain, error) {
	steps := make(chain, len(upcasters))
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, u := range upcasters {
		if u.To == 0 {
			u.To = u.From + 1
		}
		if u.Func == nil && u.typed != nil {
			u.Func = u.typed(codec)
		}
		if u.Func == nil {
			fault("upcaster %d → %d: has no function", u.From, u.To)
		}
		if u.From < oldest {
			fault("upcaster %d → %d: starts before the oldest version, %d", u.From, u.To, oldest)
		}
		if u.To <= u.From {
			fault("upcaster %d → %d: does not go up, so the chain would loop", u.From, u.To)
		}
		if u.To > current {
			fault("upcaster %d → %d: goes beyond the current version, %d", u.From, u.To, current)
		}
		if first, twice := steps[u.From]; twice {
			fault("upcaster %d → %d: duplicate, there is already one %d → %d", u.From, u.To, first.From, first.To)
			continue
		}
		steps[u.From] = u
	}
	for v := oldest; v < current; v++ {
		if _, ok := steps[v]; !ok {
			fault("gap: no upcaster from version %d; add one, or set Oldest if no such event is stored", v)
		}
	}
	return steps, errors.Join(faults...)
}

// upcast brings data from a version to current.
func (c chain) upcast(data []byte, from, current int) ([]byte, error) {
	for v := from; v < current; {
		step := c[v]
		newer, err := step.Func(data)
		if err != nil {
			return nil, fmt.Errorf("upcast from version %d to %d: %w", step.From, step.To, err)
		}
		data, v = newer, step.To
	}
	return data, nil
}
