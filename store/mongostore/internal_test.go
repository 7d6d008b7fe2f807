package mongostore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
)

func TestBoundsBecomeTheNextValidText(t *testing.T) {
	for bound, want := range map[string]string{
		"": "", "a": "a", "a\x80": "a\u0080", "a\xff": "b", "a\xc3": "a\u00c0", "\xf4\x90": "none", "z\xf5": "{", "\u07ff\xff": "\u0800", "a\xed\xa0": "a\ue000", "\U0010ffff\xff": "none",
	} {
		got, ok := roundUp(bound)
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%q became %q, want %q", bound, got, want)
		}
		if ok && got < bound {
			t.Errorf("%q became %q, which is less", bound, got)
		}
	}
}

// TestABatchThatIsCarriedOutLateChangesNothing: a process that was held up carries out what others have long done.
func TestABatchThatIsCarriedOutLateChangesNothing(t *testing.T) {
	url := testserver.URL(t, "TEST_MONGO_URL")
	id := event.NewID()
	b, err := Open(t.Context(), url, Options{Database: fmt.Sprintf("test_%x", id[:]), AutoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.db.Drop(context.Background()); _ = b.Close() }()
	late := &batchDoc{Batch: newBatchID()}
	for i, ops := range [][]store.Op{
		{store.Put("b", "deleted", []byte("1")), store.Put("b", "changed", []byte("1"))},
		{store.Delete("b", "deleted"), store.Put("b", "changed", []byte("2"))},
	} {
		revisions, err := b.Apply(t.Context(), ops)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			for j, op := range ops {
				late.Ops = append(late.Ops, change{ID: recordKey(op.Bucket, op.Key), Revision: int64(revisions[j]), Value: op.Value})
			}
		}
	}
	claimed := newBatchID() // by a batch that is on its way
	if err := b.claim(t.Context(), claimed, []string{recordKey("b", "deleted")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.carryOut(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Get(t.Context(), "b", "deleted"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the deleted record came back as %+v, %v", r, err)
	}
	if r, err := b.Get(t.Context(), "b", "changed"); err != nil || string(r.Value) != "2" {
		t.Errorf("the changed record is %q, %v", r.Value, err)
	}
	if revisions, err := b.Apply(t.Context(), []store.Op{store.Put("b", "deleted", []byte("3")).When(store.IfAbsent())}); err != nil || revisions[0] == 0 {
		t.Errorf("a record that was claimed in vain cannot be made: %v, %v", revisions, err)
	}
}

func TestServerErrorsBecomeThePortsKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind error
	}{
		{mongo.CommandError{Code: codeUnauthorized, Message: "not authorized on db to execute command insert"}, store.ErrUnavailable},
		{mongo.CommandError{Code: codeAuthenticationFailed, Message: "Authentication failed."}, store.ErrUnavailable},
		{mongo.CommandError{Code: 10107, Message: "not primary"}, store.ErrUnavailable},
		{mongo.CommandError{Code: codeOutOfDiskSpace, Message: "no space"}, store.ErrFull},
		{mongo.CommandError{Code: codeTooLarge, Message: "object to insert too large"}, store.ErrTooLarge},
		{mongo.ErrClientDisconnected, store.ErrClosed},
	} {
		got := translate(t.Context(), c.err)
		if !errors.Is(got, c.kind) || !strings.Contains(got.Error(), c.err.Error()) {
			t.Errorf("%v became %v, want %v with the server's words", c.err, got, c.kind)
		}
	}
	if isTransient(mongo.CommandError{Code: codeAuthenticationFailed}) || !isTransient(mongo.CommandError{Code: 189}) {
		t.Error("a stepped down primary is worth another try, wrong credentials are not")
	}
}

func TestACommitThatDoesNotFollowIsCorruption(t *testing.T) {
	w := &writer{Backend: &Backend{}, versions: versions{limit: 1}, head: 4}
	if err := w.learn(&commit{first: 6, last: 6}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	var d decoder
	if _, err := d.commit(bson.Raw{5, 0, 0, 0}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a cut off document: got %v, want ErrCorrupt", err)
	}
}
