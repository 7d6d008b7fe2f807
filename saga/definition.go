package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Definition is an orchestrated saga that carries a D. It is safe for concurrent use.
type Definition[D any] struct {
	name    string
	version int
	steps   []Step[D]
	index   map[string]int      // of the steps at the top level
	byName  map[string]*Step[D] // of all
}

// Definer is a definition of either kind, for NewSet: a *Definition or a *Manager.
type Definer interface {
	identity() (name string, version int)
	style() string
	signals() []string
	accepts(data json.RawMessage) error // at the start
	plan(s *state, env *planning) ([]*entry, error)
	// do gives the data before and after, both as the definition encodes it, so that they differ in what was changed only.
	do(ctx context.Context, t *task, data json.RawMessage) (before, after json.RawMessage, err error)
	retry(t *task, o *Options) (Retry, time.Duration)
	sequential() bool // tasks are done one at a time
}

// planning is what a plan depends on beside the state.
type planning struct {
	now            time.Time
	noCompensation bool
	working        func(*task) bool // whether the task is being done here and now
}

// Define makes an orchestrated saga. Its steps run in order, unless they say otherwise; when one fails for good, those that
// are done are compensated in reverse. Raise the version when steps change: instances that run keep the version they began
// with, so keep the old definition in the Set until its last instance has ended.
//
// All faults are reported together, as store.ErrInvalid.
func Define[D any](name string, version int, steps ...Step[D]) (*Definition[D], error) {
	d := &Definition[D]{name: name, version: version, steps: slices.Clone(steps), index: map[string]int{}, byName: map[string]*Step[D]{}}
	if err := d.validate(); err != nil {
		return nil, fmt.Errorf("define saga %s: %w: %w", name, store.ErrInvalid, err)
	}
	return d, nil
}

func (d *Definition[D]) identity() (name string, version int) { return d.name, d.version }
func (d *Definition[D]) style() string                        { return styleSteps }
func (d *Definition[D]) sequential() bool                     { return false }

// Name gives the name.
func (d *Definition[D]) Name() string { return d.name }

func (d *Definition[D]) signals() []string {
	var names []string
	for _, s := range d.byName {
		if s.Await.Signal != "" {
			names = append(names, s.Await.Signal)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *Definition[D]) accepts(data json.RawMessage) error {
	_, err := decodeData[D](data)
	return err
}

func (d *Definition[D]) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := validateName(d.name); err != nil {
		faults = append(faults, err)
	}
	if d.version < 1 {
		fault("version %d: must be at least 1", d.version)
	}
	var zero D
	if _, err := json.Marshal(zero); err != nil {
		fault("data of type %T cannot be encoded: %w", zero, err)
	}
	if len(d.steps) == 0 {
		fault("there are no steps")
	}
	for i := range d.steps {
		d.index[d.steps[i].Name] = i
		faults = append(faults, d.checkStep(&d.steps[i], false)...)
	}
	for i := range d.steps {
		faults = append(faults, d.checkWays(&d.steps[i])...)
	}
	if len(faults) == 0 {
		faults = append(faults, d.checkExits()...)
	}
	return errors.Join(faults...)
}

// checkStep checks one step by itself.
func (d *Definition[D]) checkStep(s *Step[D], branch bool) (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("step %q: "+format, append([]any{s.Name}, args...)...))
	}
	if err := event.ValidateName(s.Name); err != nil {
		fault("name: %w", err)
	} else if s.Name[0] == '$' {
		fault("name: must not begin with $")
	}
	if d.byName[s.Name] != nil {
		fault("there are two of that name")
	}
	d.byName[s.Name] = s
	kinds := 0
	for _, has := range []bool{s.Action != nil, s.Await.Signal != "", len(s.Parallel) > 0} {
		if has {
			kinds++
		}
	}
	if kinds != 1 {
		fault("needs exactly one of Action, Await and Parallel")
	}
	if s.Compensation != nil && s.Action == nil {
		fault("has a compensation, but no action that it could undo")
	}
	if s.Await.Signal == "" && (s.Await.Within != 0 || s.Await.Receive != nil) {
		fault("awaits a signal without a name")
	}
	if s.Timeout < 0 || s.Await.Within < 0 {
		fault("the timeout must not be negative")
	}
	if err := errors.Join(s.Retry.validate(), s.CompensationRetry.validate()); err != nil {
		fault("%w", err)
	}
	if branch && (len(s.Next) > 0 || s.OnFailure != "" || len(s.Parallel) > 0) {
		fault("is one of a parallel group, so it has no Next, OnFailure or Parallel of its own")
	}
	if !branch {
		s.Parallel = slices.Clone(s.Parallel)
		for i := range s.Parallel {
			faults = append(faults, d.checkStep(&s.Parallel[i], true)...)
		}
	}
	return faults
}

// checkWays checks where a step leads to.
func (d *Definition[D]) checkWays(s *Step[D]) (faults []error) {
	for i, jump := range s.Next {
		if _, ok := d.index[jump.To]; !ok && jump.To != End {
			faults = append(faults, fmt.Errorf("step %q: goes on with %q, which is no step", s.Name, jump.To))
		}
		if jump.When == nil && i < len(s.Next)-1 {
			faults = append(faults, fmt.Errorf("step %q: always goes on with %q, so what stands behind that is never looked at", s.Name, jump.To))
		}
	}
	if _, ok := d.index[s.OnFailure]; !ok && s.OnFailure != "" {
		faults = append(faults, fmt.Errorf("step %q: goes on with %q when it fails, which is no step", s.Name, s.OnFailure))
	}
	return faults
}

// checkExits finds steps from which no way leads to the end.
func (d *Definition[D]) checkExits() []error {
	exits := map[string]bool{End: true}
	for grown := true; grown; {
		grown = false
		for i := range d.steps {
			if name := d.steps[i].Name; !exits[name] && slices.ContainsFunc(d.ways(i), func(to string) bool { return exits[to] }) {
				exits[name], grown = true, true
			}
		}
	}
	var faults []error
	for i := range d.steps {
		if name := d.steps[i].Name; !exits[name] {
			faults = append(faults, fmt.Errorf("step %q: is in a cycle without an exit", name))
		}
	}
	return faults
}

// ways lists where success in a step may lead to.
func (d *Definition[D]) ways(i int) []string {
	var to []string
	always := false
	for _, jump := range d.steps[i].Next {
		to = append(to, jump.To)
		always = always || jump.When == nil
	}
	if !always {
		to = append(to, d.below(i))
	}
	return to
}

func (d *Definition[D]) below(i int) string {
	if i+1 < len(d.steps) {
		return d.steps[i+1].Name
	}
	return End
}

func (d *Definition[D]) retry(t *task, o *Options) (Retry, time.Duration) {
	step := d.byName[t.step]
	timeout := o.Timeout
	if step != nil && step.Timeout > 0 {
		timeout = step.Timeout
	}
	switch {
	case t.kind == taskCompensation && step != nil:
		return step.CompensationRetry.or(o.CompensationRetry), timeout
	case t.kind == taskCompensation:
		return o.CompensationRetry, timeout
	case step != nil:
		return step.Retry.or(o.Retry), timeout
	}
	return o.Retry, timeout
}

func (d *Definition[D]) do(ctx context.Context, t *task, data json.RawMessage) (before, after json.RawMessage, err error) {
	step := d.byName[t.step]
	if step == nil {
		return nil, nil, Permanent(fmt.Errorf("step %q: version %d of the saga has no such step; it has %v", t.step, d.version, slices.Sorted(maps.Keys(d.byName))))
	}
	action := step.Action
	if t.kind == taskCompensation {
		action = step.Compensation
	}
	if action == nil {
		return nil, nil, Permanent(fmt.Errorf("step %q: there is nothing to do", t.step))
	}
	return perform(data, func(value *D) error { return action(ctx, value) })
}

// perform calls a function with the data.
func perform[D any](data json.RawMessage, action func(*D) error) (before, after json.RawMessage, err error) {
	value, err := decodeData[D](data)
	if err != nil {
		return nil, nil, Permanent(err)
	}
	if before, err = json.Marshal(value); err != nil {
		return nil, nil, Permanent(fmt.Errorf("the data cannot be encoded: %w", err))
	}
	if err := action(&value); err != nil {
		return nil, nil, err
	}
	if after, err = json.Marshal(value); err != nil {
		return nil, nil, Permanent(Unknown(fmt.Errorf("the data cannot be encoded: %w", err)))
	}
	return before, after, nil
}

func decodeData[D any](data json.RawMessage) (D, error) {
	var value D
	if err := json.Unmarshal(data, &value); err != nil {
		return value, fmt.Errorf("the data cannot be decoded into %T: %w", value, err)
	}
	return value, nil
}
