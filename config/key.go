package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// EnvPrefix begins the variables that set keys.
const EnvPrefix = "LEX_EVENTS__"

// key is one key of the configuration, as the tags of its field say.
type key struct {
	path    string // "postgres.pool_max_size"
	index   []int  // of the field
	goType  reflect.Type
	unit    time.Duration // of a duration that is given as a number
	initial reflect.Value
	text    string        // that initial is made of
	min     reflect.Value // invalid: none
	max     reflect.Value
	enum    [][]string // each value with its other spellings
	only    string     // the one value that is accepted
	why     string
	form    form
}

// form is what a text must look like.
type form struct {
	pattern *regexp.Regexp
	text    string
}

// forms are those that tags name.
func forms() map[string]form {
	return map[string]form{
		"some":   {regexp.MustCompile(`.`), "must not be empty"},
		"name":   {regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`), "must be 1 to 64 letters, digits, dots, dashes and underscores"},
		"sql":    {regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`), "must be a lower-case name of letters, digits and underscores, at most 63 long"},
		"mongo":  {regexp.MustCompile(`^[A-Za-z0-9_]{1,48}$`), "must be 1 to 48 letters, digits and underscores"},
		"metric": {regexp.MustCompile(`^[A-Za-z_:][A-Za-z0-9_:]*$`), "must be letters, digits, underscores and colons, and no digit first"},
	}
}

// keys lists all keys, in the order of the fields of Config. A tag of a wrong form panics, which the tests would see.
func keys() []key { return keysOf(reflect.TypeFor[Config](), "", nil, forms()) }

func keysOf(t reflect.Type, prefix string, index []int, known map[string]form) []key {
	var found []key
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("koanf")
		if name == "" {
			continue
		}
		at := append(append([]int(nil), index...), i)
		if field.Type.Kind() == reflect.Struct {
			found = append(found, keysOf(field.Type, prefix+name+".", at, known)...)
			continue
		}
		found = append(found, newKey(prefix+name, at, field, known))
	}
	return found
}

func newKey(path string, index []int, field reflect.StructField, known map[string]form) key {
	k := key{path: path, index: index, goType: field.Type, only: field.Tag.Get("only"), why: field.Tag.Get("why")}
	switch unit := field.Tag.Get("unit"); unit {
	case "":
	default:
		k.unit = must(time.ParseDuration("1" + unit))
	}
	if name := field.Tag.Get("form"); name != "" {
		k.form = known[name]
	}
	if values := field.Tag.Get("enum"); values != "" {
		for value := range strings.SplitSeq(values, ",") {
			k.enum = append(k.enum, strings.Split(value, "|"))
		}
	}
	k.text = field.Tag.Get("default")
	k.initial = k.tag(k.text)
	for tag, bound := range map[string]*reflect.Value{"min": &k.min, "max": &k.max} {
		if value := field.Tag.Get(tag); value != "" {
			*bound = k.tag(value)
		}
	}
	return k
}

// tag gives the value that a tag stands for.
func (k *key) tag(text string) reflect.Value {
	if text == "" {
		return reflect.Zero(k.goType)
	}
	return must(k.convert(scalar{text: text}))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("config: a tag: %v", err))
	}
	return value
}

// field is the key's field of a configuration.
func (k *key) field(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.index) }

// secret reports whether the value must not be shown.
func (k *key) secret() bool { return k.goType == reflect.TypeFor[Secret]() }

// env is the variable that sets the key.
func (k *key) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "__"))
}

// kind names the type for people.
func (k *key) kind() string {
	switch {
	case k.secret():
		return "secret"
	case k.unit == time.Second:
		return "seconds or duration"
	case k.unit == time.Millisecond:
		return "milliseconds or duration"
	case k.unit != 0:
		return "hours or duration"
	case k.goType == reflect.TypeFor[[]ReadModel]():
		return "list of sections"
	}
	switch k.goType.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "section"
	default:
		return "text"
	}
}
