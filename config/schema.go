package config

import (
	_ "embed" // the schema
	"slices"
)

//go:embed application.schema.json
var jsonSchemaText []byte

// JSONSchema gives the JSON Schema of the file, for editors: all keys by all their names.
func JSONSchema() []byte { return slices.Clone(jsonSchemaText) }
