package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// proxy passes messages on to FerretDB one at a time, over all connections, so that no command sees another one half
// done.
type proxy struct {
	backend string
	unique  *unique

	mu sync.Mutex // held from the first byte of a command to the last byte of its answer
}

// The parts of the wire protocol that matter here; all integers are little-endian.
const (
	headerSize  = 16
	maxMessage  = 64 << 20
	opMsg       = 2013
	moreToCome  = 2 // a flag of opMsg: there will be no answer
	opCodeAt    = 12
	flagBitsAt  = headerSize
	firstBodyAt = headerSize + 4 + 1 // after the flags and the kind of the first section
)

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		response, err := p.exchange(ctx, server, request)
		if err != nil {
			return
		}
		if response != nil {
			if _, err := client.Write(response); err != nil {
				return
			}
		}
	}
}

// pass copies bytes both ways.
func (p *proxy) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// exchange sends one command and gives its answer; nil where none comes.
func (p *proxy) exchange(ctx context.Context, server net.Conn, request []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	isMsg := binary.LittleEndian.Uint32(request[opCodeAt:]) == opMsg
	if isMsg && len(request) > firstBodyAt && binary.LittleEndian.Uint32(request[flagBitsAt:])&moreToCome != 0 {
		return nil, nil
	}
	response, err := readMessage(server)
	if err != nil || !isMsg || len(request) <= firstBodyAt || len(response) <= firstBodyAt {
		return response, err
	}
	command, err := bson.Raw(request[firstBodyAt:]).IndexErr(0)
	if err != nil {
		return response, nil //nolint:nilerr // FerretDB has refused it already
	}
	switch command.Key() {
	case "createIndexes":
		err = p.unique.watch(ctx, request[firstBodyAt:])
	case "buildInfo", "buildinfo":
		response, err = disguise(response)
	}
	return response, err
}

// disguise takes out of the answer to buildInfo what tells FerretDB: with the two promises kept, this is a stand-alone
// MongoDB to its clients.
func disguise(response []byte) ([]byte, error) {
	var info bson.D
	if err := bson.Unmarshal(response[firstBodyAt:], &info); err != nil {
		return nil, err
	}
	info = slices.DeleteFunc(info, func(e bson.E) bool { return strings.HasPrefix(e.Key, "ferretdb") })
	body, err := bson.Marshal(info)
	if err != nil {
		return nil, err
	}
	response = append(response[:firstBodyAt:firstBodyAt], body...)
	binary.LittleEndian.PutUint32(response, uint32(len(response))) //nolint:gosec // a small message
	return response, nil
}

func readMessage(r io.Reader) ([]byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(header[:4]))
	if n < headerSize || n > maxMessage {
		return nil, io.ErrUnexpectedEOF
	}
	message := make([]byte, n)
	copy(message, header[:])
	_, err := io.ReadFull(r, message[headerSize:])
	return message, err
}
