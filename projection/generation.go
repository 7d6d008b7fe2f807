package projection

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Generation is one making of a read model. Several may stand beside each other: the live one, which readers see, those
// before it, and one that is being built.
type Generation struct {
	Number     int64     `json:"number"`  // grows from 1, and is never used again
	Version    int       `json:"version"` // Options.Version of the code that makes it
	Mode       Mode      `json:"mode"`
	Partitions int       `json:"partitions"`
	CreatedAt  time.Time `json:"created_at"`
	Documents  []string  `json:"documents,omitempty"` // the kinds of documents that it holds
}

type generationKey struct{}

// GenerationFrom gives the generation that a handler writes for, from its context: to choose the names of tables with.
func GenerationFrom(ctx context.Context) (Generation, bool) {
	g, ok := ctx.Value(generationKey{}).(Generation)
	return g, ok
}

// subscription is the name under which the generation keeps its place in the log.
func (g Generation) subscription(projection string) string {
	return fmt.Sprintf("projection:%s@%d", projection, g.Number)
}

// OfSubscription reports whether a subscription of this name feeds a generation of a projection.
func OfSubscription(name string) bool { return strings.HasPrefix(name, "projection:") }

// source is the generation's name in dead letters.
func (g Generation) source(projection string) string {
	return fmt.Sprintf("projection/%s/%d", projection, g.Number)
}

// bucket is where the documents of a kind are; their index entries are in bucket + "/index".
func (g Generation) bucket(projection, kind string) string {
	return fmt.Sprintf("projection/%s/%d/%s", projection, g.Number, kind)
}
