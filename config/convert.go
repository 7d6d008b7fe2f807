package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// scalar is a single value as it was written. Quoting does not matter: variables have no other types than text.
type scalar struct {
	text string
	kind scalarKind
}

type scalarKind uint8

const (
	written  scalarKind = iota // a text, which may stand for a value of another type
	aNumber                    // a number of YAML
	aBoolean                   // true or false of YAML
)

// convert makes a value of the key's type out of what was written: a scalar, a []any of values, or a map[string]any.
func (k *key) convert(raw any) (reflect.Value, error) {
	var value any
	var err error
	s, single := raw.(scalar)
	switch k.goType {
	case reflect.TypeFor[[]ReadModel]():
		value, err = readModels(raw)
	case reflect.TypeFor[map[string]string]():
		value, err = texts(raw)
	case reflect.TypeFor[[]string]():
		value, err = list(raw, func(s scalar) (string, error) { return s.text, nil })
	case reflect.TypeFor[[]float64]():
		value, err = list(raw, number)
	default:
		if !single {
			return reflect.Value{}, fmt.Errorf("must be %s", k.article())
		}
		value, err = k.single(s)
	}
	if err != nil {
		return reflect.Value{}, err
	}
	return reflect.ValueOf(value).Convert(k.goType), nil
}

// single converts a scalar.
func (k *key) single(s scalar) (any, error) {
	switch {
	case k.unit != 0:
		return duration(s.text, k.unit)
	case k.goType.Kind() == reflect.Bool:
		switch strings.ToLower(s.text) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0":
			return false, nil
		}
		return nil, errors.New("must be true or false")
	case k.goType.Kind() == reflect.Int:
		n, err := strconv.ParseInt(strings.ReplaceAll(s.text, "_", ""), 10, 0)
		if err != nil {
			return nil, errors.New("must be a whole number")
		}
		return int(n), nil
	case k.goType.Kind() == reflect.Float64:
		return number(s)
	case s.kind == aBoolean:
		return nil, errors.New("must be a text, which true and false are not unless they are quoted")
	default:
		return k.spelling(s.text), nil
	}
}

// spelling gives the value of a choice that a text spells.
func (k *key) spelling(text string) string {
	for _, spellings := range k.enum {
		for _, spelling := range spellings {
			if spelling == text {
				return spellings[0]
			}
		}
	}
	return text
}

// article is the kind of the key in a sentence.
func (k *key) article() string {
	switch kind := k.kind(); {
	case kind == "true or false":
		return kind
	case k.unit != 0:
		return `a number or a duration such as "30s"`
	case kind == "secret":
		return "a text"
	default:
		return "a " + kind
	}
}

func number(s scalar) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s.text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, errors.New("must be a number")
	}
	return f, nil
}

// duration reads a number of units, or a Go duration.
func duration(text string, unit time.Duration) (time.Duration, error) {
	if f, err := number(scalar{text: text}); err == nil {
		if math.Abs(f*float64(unit)) > float64(math.MaxInt64/2) {
			return 0, errors.New("is too long a time")
		}
		return time.Duration(math.Round(f * float64(unit))), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New(`must be a number or a duration such as "30s"`)
	}
	return d, nil
}

// list reads a list, or a text with commas.
func list[T any](raw any, read func(scalar) (T, error)) ([]T, error) {
	var values []T
	add := func(item any) error {
		s, single := item.(scalar)
		if !single {
			return errors.New("must be a list of single values")
		}
		value, err := read(s)
		values = append(values, value)
		return err
	}
	switch raw := raw.(type) {
	case scalar:
		for part := range strings.SplitSeq(raw.text, ",") {
			if part = strings.TrimSpace(part); part == "" {
				return nil, errors.New("must be a list, or values divided by commas")
			}
			if err := add(scalar{text: part}); err != nil {
				return nil, err
			}
		}
	case []any:
		for _, item := range raw {
			if err := add(item); err != nil {
				return nil, err
			}
		}
	default:
		return nil, errors.New("must be a list, or values divided by commas")
	}
	return values, nil
}

// texts reads a section of single values.
func texts(raw any) (map[string]string, error) {
	section, ok := raw.(map[string]any)
	if !ok {
		return nil, errors.New("must be a section of names and values")
	}
	values := make(map[string]string, len(section))
	for name, item := range section {
		s, single := item.(scalar)
		if !single {
			return nil, fmt.Errorf("%q must be a single value", name)
		}
		values[name] = s.text
	}
	return values, nil
}

// readModels reads a list of sections.
func readModels(raw any) ([]ReadModel, error) {
	items, ok := raw.([]any)
	if !ok {
		return nil, errors.New("must be a list of sections with a name")
	}
	models := make([]ReadModel, len(items))
	for i, item := range items {
		section, err := texts(item)
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		m := ReadModel{Name: section["name"], Enabled: true}
		for name, text := range section {
			switch name {
			case "name":
			case "enabled":
				m.Enabled, err = strconv.ParseBool(text)
			case "rebuild_on_startup":
				m.RebuildOnStartup, err = strconv.ParseBool(text)
			default:
				return nil, fmt.Errorf("number %d: unknown key %q; there are name, enabled and rebuild_on_startup", i+1, name)
			}
			if err != nil {
				return nil, fmt.Errorf("number %d: %s must be true or false", i+1, name)
			}
		}
		if m.Name == "" {
			return nil, fmt.Errorf("number %d: needs a name", i+1)
		}
		models[i] = m
	}
	return models, nil
}
