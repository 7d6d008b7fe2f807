package mongostore

import (
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"lexigram.dev/events/event"
)

// Reading BSON without reflection and without copies: what is given out points into the document.

// body gives the elements of a document or array, without length and final zero. No document has no elements.
func body(doc bson.Raw) ([]byte, error) {
	if len(doc) == 0 {
		return nil, nil
	}
	length, rest, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) > len(doc) || length < 5 {
		return nil, corrupt("a document of %d bytes is cut off", len(doc))
	}
	return rest[:length-5], nil
}

// next takes one element off.
func next(elements []byte) (key []byte, v bsoncore.Value, rest []byte, err error) {
	e, rest, ok := bsoncore.ReadElement(elements)
	if !ok {
		return nil, v, nil, corrupt("an element cannot be read")
	}
	key, err = e.KeyBytesErr()
	if err == nil {
		v, err = e.ValueErr()
	}
	return key, v, rest, err
}

// fields calls fn for each element of a document.
func fields(doc bsoncore.Document, fn func(key []byte, v bsoncore.Value)) error {
	rest, err := body(bson.Raw(doc))
	for err == nil && len(rest) > 0 {
		var key []byte
		var v bsoncore.Value
		if key, v, rest, err = next(rest); err == nil {
			fn(key, v)
		}
	}
	return err
}

// each calls fn for each element of an array.
func each(array bsoncore.Document, fn func(v bsoncore.Value) error) error {
	rest, err := body(bson.Raw(array))
	for err == nil && len(rest) > 0 {
		var v bsoncore.Value
		if _, v, rest, err = next(rest); err == nil {
			err = fn(v)
		}
	}
	return err
}

// number reads an integer of either size, as servers may store a small one as they like; anything else is 0.
func number(v bsoncore.Value) int64 {
	n, _ := v.AsInt64OK()
	return n
}

// text gives the bytes of a string or a binary value; nil for anything else.
func text(v bsoncore.Value) []byte {
	switch v.Type {
	case bsoncore.TypeString:
		if len(v.Data) >= 5 {
			return v.Data[4 : len(v.Data)-1]
		}
	case bsoncore.TypeBinary:
		if _, b, ok := v.BinaryOK(); ok {
			return b
		}
	}
	return nil
}

func identity(v bsoncore.Value) event.ID {
	var id event.ID
	copy(id[:], text(v))
	return id
}
