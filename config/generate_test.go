package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configuration.md and application.schema.json anew")

// comments gives the text about each key: the comment of its field, or of the one before it, or of its section.
func comments(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	about := map[string]string{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				if named, ok := spec.(*ast.TypeSpec); ok {
					if body, ok := named.Type.(*ast.StructType); ok {
						structs[named.Name.Name], about[named.Name.Name] = body, general.Doc.Text()
					}
				}
			}
		}
	}
	found := map[string]string{}
	var walk func(reflect.Type, string)
	walk = func(goType reflect.Type, prefix string) {
		text := about[goType.Name()]
		found[strings.TrimSuffix(prefix, ".")] = oneLine(text)
		for _, field := range structs[goType.Name()].Fields.List {
			if field.Doc != nil {
				text = field.Doc.Text()
			}
			f, _ := goType.FieldByName(field.Names[0].Name)
			name := f.Tag.Get("koanf")
			switch {
			case name == "":
			case f.Type.Kind() == reflect.Struct:
				walk(f.Type, prefix+name+".")
			default:
				found[prefix+name] = oneLine(text)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return found
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// rule says in words what values are accepted.
func (k *key) rule() string {
	var parts []string
	if k.enum != nil {
		for _, spellings := range k.enum {
			parts = append(parts, strings.Join(spellings, " = "))
		}
		return strings.Join(parts, ", ")
	}
	if k.only != "" {
		return "only " + k.only
	}
	if k.min.IsValid() {
		parts = append(parts, "≥ "+fmt.Sprint(k.min.Interface()))
	}
	if k.max.IsValid() {
		parts = append(parts, "≤ "+fmt.Sprint(k.max.Interface()))
	}
	if k.form.text != "" {
		parts = append(parts, strings.TrimPrefix(k.form.text, "must be "))
	}
	return strings.Join(parts, ", ")
}

// otherNames lists the aliases of each key, those of whole sections aside.
func otherNames() map[string][]string {
	names := map[string][]string{}
	for alias, path := range keyAliases() {
		names[path] = append(names[path], alias)
	}
	for _, k := range keys() {
		if short, ok := strings.CutSuffix(k.path, "_seconds"); ok {
			names[k.path] = append(names[k.path], short)
		}
	}
	for _, list := range names {
		slices.Sort(list)
	}
	return names
}

func document(t *testing.T) []byte {
	about, aliases := comments(t), otherNames()
	var b bytes.Buffer
	template, err := os.ReadFile("testdata/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(template), "{{keys}}\n")
	b.WriteString(before)
	section := "-"
	for _, k := range keys() {
		at := ""
		if dot := strings.LastIndexByte(k.path, '.'); dot >= 0 {
			at = k.path[:dot]
		}
		if at != section {
			section = at
			title := "(top level)"
			if section != "" {
				title = "`" + section + "`"
			}
			fmt.Fprintf(&b, "\n### %s\n\n%s", title, about[section])
			var names []string
			for alias, of := range sectionAliases() {
				if of == section {
					names = append(names, "`"+alias+"`")
				}
			}
			if slices.Sort(names); len(names) > 0 {
				fmt.Fprintf(&b, " Also: %s.", strings.Join(names, ", "))
			}
			b.WriteString("\n\n| key | type | default | rule | effect |\n|---|---|---|---|---|\n")
		}
		effect := about[k.path]
		if k.why != "" {
			effect += " The other value is refused: " + k.why + "."
		}
		for i, alias := range aliases[k.path] {
			if i == 0 {
				effect += " Also: "
			} else {
				effect += ", "
			}
			effect += "`" + alias + "`"
		}
		if len(aliases[k.path]) > 0 {
			effect += "."
		}
		initial := "`" + k.show(Default()) + "`"
		if initial == "``" {
			initial = ""
		}
		fmt.Fprintf(&b, "| `%s` <br> `%s` | %s | %s | %s | %s |\n", k.path, k.env(), k.kind(), initial, strings.ReplaceAll(k.rule(), "|", "\\|"), strings.ReplaceAll(effect, "|", "\\|"))
	}
	b.WriteString(after)
	return b.Bytes()
}

// property is the JSON Schema of a key. Any value may be a text with ${…} in it.
func (k *key) property(about string) map[string]any {
	p := map[string]any{"description": about}
	reference := map[string]any{"type": "string", "pattern": `\$\{`}
	bounds := func(kind string, scale float64) map[string]any {
		s := map[string]any{"type": kind}
		for name, bound := range map[string]reflect.Value{"minimum": k.min, "maximum": k.max} {
			if bound.IsValid() && bound.CanInt() {
				s[name] = float64(bound.Int()) / scale
			} else if bound.IsValid() {
				s[name] = bound.Float()
			}
		}
		return s
	}
	var choices []any
	switch {
	case k.only == "true" || k.only == "false":
		choices = []any{map[string]any{"const": k.only == "true"}}
	case k.only != "":
		choices = []any{map[string]any{"const": k.only}}
	case k.enum != nil:
		choices = []any{map[string]any{"enum": slices.Concat(k.enum...)}, reference}
	case k.unit != 0:
		choices = []any{bounds("number", float64(k.unit)), map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9.]+$|\$\{`}}
	case k.goType == reflect.TypeFor[[]ReadModel]():
		choices = []any{map[string]any{"type": "array", "items": map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{"name"}, "properties": map[string]any{
				"name": map[string]any{"type": "string"}, "enabled": map[string]any{"type": "boolean"}, "rebuild_on_startup": map[string]any{"type": "boolean"},
			},
		}}}
	case k.goType.Kind() == reflect.Slice:
		choices = []any{map[string]any{"type": "array", "items": map[string]any{"type": []string{"string", "number"}}}, map[string]any{"type": "string"}}
	case k.goType.Kind() == reflect.Map:
		choices = []any{map[string]any{"type": "object", "additionalProperties": map[string]any{"type": []string{"string", "number", "boolean"}}}}
	case k.goType.Kind() == reflect.Bool:
		choices = []any{map[string]any{"type": "boolean"}, reference}
	case k.goType.Kind() == reflect.Int:
		choices = []any{bounds("integer", 1), reference}
	case k.goType.Kind() == reflect.Float64:
		choices = []any{bounds("number", 1), reference}
	default:
		choices = []any{map[string]any{"type": "string"}}
	}
	p["anyOf"] = append(choices, map[string]any{"type": "null"})
	if !k.initial.IsZero() && !k.secret() {
		switch value := k.initial.Interface().(type) {
		case time.Duration:
			p["default"] = float64(value) / float64(k.unit)
		default:
			p["default"] = value
		}
	}
	return p
}

// jsonSchema is the JSON Schema of the file.
func jsonSchema(t *testing.T) []byte {
	about := comments(t)
	root := map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{}}
	var place func(at map[string]any, path []string, property any)
	place = func(at map[string]any, path []string, property any) {
		properties := at["properties"].(map[string]any)
		if len(path) == 1 {
			properties[path[0]] = property
			return
		}
		below, ok := properties[path[0]].(map[string]any)
		if !ok {
			below = map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": map[string]any{}}
			properties[path[0]] = below
		}
		place(below, path[1:], property)
	}
	put := func(path string, k *key, text string) {
		place(root, strings.Split(path, "."), k.property(text))
		section, last, _ := cutLast(path)
		if last == "enabled" && section != "" {
			at := root
			for _, part := range strings.Split(section, ".") {
				at = at["properties"].(map[string]any)[part].(map[string]any)
			}
			at["type"] = []string{"object", "null", "boolean"}
		}
	}
	everyName := func(path string, put func(path string)) {
		put(path)
		for alias, section := range sectionAliases() {
			if rest, ok := strings.CutPrefix(path, section+"."); ok {
				put(alias + "." + rest)
			}
		}
	}
	all := newNames().keys
	for _, path := range slices.Sorted(maps.Keys(all)) {
		everyName(path, func(name string) { put(name, all[path], about[path]) })
		for _, alias := range otherNames()[path] {
			everyName(alias, func(name string) { put(name, all[path], "Another name of "+path+". "+about[path]) })
		}
	}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Lexigram Events: application.yaml",
		"type": "object", "properties": map[string]any{"events": root},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func cutLast(path string) (before, last string, found bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func TestTheDocumentAndTheSchemaAreThoseOfTheFields(t *testing.T) {
	for path, text := range comments(t) {
		if text == "" && path != "" {
			t.Errorf("%s has no comment", path)
		}
	}
	for path, want := range map[string][]byte{"../docs/configuration.md": document(t), "application.schema.json": jsonSchema(t)} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil { //nolint:gosec // a document
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not that of the fields: go test ./config -update (%v)", path, err)
		}
	}
}

// The sample of the reference, and each key with its default, are what the schema describes.
func TestTheSchemaAcceptsWhatTheLoaderAccepts(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(JSONSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	find := func(path string) map[string]any {
		at := schema["properties"].(map[string]any)["events"].(map[string]any)
		for _, part := range strings.Split(path, ".") {
			at, _ = at["properties"].(map[string]any)[part].(map[string]any)
			if at == nil {
				return nil
			}
		}
		return at
	}
	for _, k := range keys() {
		property := find(k.path)
		if property == nil || property["description"] == "" {
			t.Errorf("%s is not in the schema", k.path)
		}
	}
	for _, path := range []string{"postgres.connection_string", "event_store.backend", "sagas.timeout", "middleware.retry.max_attempts", "projections.read_models", "event_bus.redis.url", "event_bus.kafka.topic"} {
		if find(path) == nil {
			t.Errorf("%s is not in the schema", path)
		}
	}
	if find("outbx") != nil || find("outbox")["additionalProperties"] != false {
		t.Error("unknown keys are accepted")
	}
}
