package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// section is a part of a file, or of the environment, as it was written. A name may come twice in the environment.
type section struct{ entries []entry }

// entry is a name with its value: a scalar, a []any of values, a *section, or nil where nothing is given.
type entry struct {
	name  string
	place string
	value any
}

const (
	maxFileBytes = 1 << 20
	maxDepth     = 50
	maxNodes     = 100_000 // aliases counted as often as they stand
)

// reader turns YAML into sections.
type reader struct {
	file    string
	anchors map[string]ast.Node
	nodes   int
}

// parse reads a file, whose name is for errors alone. The parser's own messages quote the file, which may hold secrets: of
// them only the reason and the place are kept.
func parse(file string, content []byte) (root *section, fault *Fault) {
	defer func() { // goccy/go-yaml has panicked on odd input before
		if value := recover(); value != nil {
			root, fault = nil, &Fault{Place: file, Text: "cannot be parsed as YAML"}
		}
	}()
	if len(content) > maxFileBytes {
		return nil, &Fault{Place: file, Text: fmt.Sprintf("is larger than %d bytes", maxFileBytes)}
	}
	parsed, err := parser.ParseBytes(content, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return nil, &Fault{Place: place(file, syntax.GetToken()), Text: "syntax error: " + reason(syntax)}
		}
		return nil, &Fault{Place: file, Text: "cannot be parsed as YAML"}
	}
	r := &reader{file: file, anchors: map[string]ast.Node{}}
	root = &section{}
	for _, doc := range parsed.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if len(root.entries) > 0 {
			return nil, &Fault{Place: place(file, doc.Body.GetToken()), Text: "a second document: one is allowed"}
		}
		value, err := r.value(doc.Body, 0)
		if err != nil {
			return nil, err
		}
		s, ok := value.(*section)
		if !ok {
			return nil, &Fault{Place: place(file, doc.Body.GetToken()), Text: "must be a section with names"}
		}
		root = s
	}
	return root, nil
}

// reason is the parser's message, without what it may quote of the file.
func reason(err yaml.Error) string {
	text, _, _ := strings.Cut(err.GetMessage(), "\n")
	if strings.ContainsAny(text, `"'`) && !strings.HasPrefix(text, "mapping key") {
		text, _, _ = strings.Cut(text, `"`)
		text, _, _ = strings.Cut(text, `'`)
	}
	return strings.TrimSpace(text)
}

func place(file string, t *token.Token) string {
	if t == nil || t.Position == nil {
		return file
	}
	return fmt.Sprintf("%s:%d:%d", file, t.Position.Line, t.Position.Column)
}

func (r *reader) fault(n ast.Node, text string) *Fault {
	return &Fault{Place: place(r.file, n.GetToken()), Text: text}
}

// value reads a node.
func (r *reader) value(n ast.Node, depth int) (any, *Fault) {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, r.fault(n, "is too deep or too large")
	}
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil, nil
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.value(n.Value, depth+1)
	case *ast.AliasNode:
		target, ok := r.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, r.fault(n, "an alias of nothing")
		}
		return r.value(target, depth+1)
	case *ast.TagNode:
		return r.value(n.Value, depth+1)
	case *ast.MappingNode:
		return r.section(n.Values, depth)
	case *ast.MappingValueNode:
		return r.section([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		items := make([]any, len(n.Values))
		for i, item := range n.Values {
			value, fault := r.value(item, depth+1)
			if fault != nil {
				return nil, fault
			}
			items[i] = value
		}
		return items, nil
	case *ast.StringNode:
		return scalar{text: n.Value}, nil
	case *ast.LiteralNode:
		return scalar{text: strings.TrimSuffix(n.Value.Value, "\n")}, nil
	case *ast.BoolNode:
		return scalar{text: n.Token.Value, kind: aBoolean}, nil
	case *ast.IntegerNode:
		return scalar{text: fmt.Sprint(n.Value), kind: aNumber}, nil
	case *ast.FloatNode:
		return scalar{text: n.Token.Value, kind: aNumber}, nil
	default:
		return nil, r.fault(n, "is of a kind that has no use here")
	}
}

// section reads names and values. Those of a merge key (<<) count where the section does not name them itself.
func (r *reader) section(values []*ast.MappingValueNode, depth int) (*section, *Fault) {
	s := &section{}
	var merged []entry
	for _, v := range values {
		value, fault := r.value(v.Value, depth+1)
		if fault != nil {
			return nil, fault
		}
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			from, ok := value.(*section)
			if !ok {
				return nil, r.fault(v.Value, "what << merges must be a section")
			}
			merged = append(merged, from.entries...)
			continue
		}
		s.entries = append(s.entries, entry{name: v.Key.GetToken().Value, place: place(r.file, v.Key.GetToken()), value: value})
	}
	own := s.entries
	for _, e := range merged {
		if _, named := find(own, e.name); !named {
			s.entries = append(s.entries, e)
		}
	}
	return s, nil
}

func find(entries []entry, name string) (entry, bool) {
	for _, e := range entries {
		if e.name == name {
			return e, true
		}
	}
	return entry{}, false
}
