package redisstore

import (
	"bytes"
	"errors"
	"strconv"
)

// reply reads the server's answer in the form in which it came (RESP2 and RESP3), without copying it. An error is kept:
// after one, everything is zero.
type reply struct {
	rest []byte
	err  error
}

var errReply = errors.New("malformed answer of the server")

func (r *reply) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// line gives the kind of the next element and its line.
func (r *reply) line() (kind byte, line []byte) {
	end := bytes.IndexByte(r.rest, '\n')
	if end < 2 {
		r.fail(errReply)
		return 0, nil
	}
	kind, line = r.rest[0], r.rest[1:end-1]
	r.rest = r.rest[end+1:]
	if kind == '-' {
		r.fail(serverError(line))
		return 0, nil
	}
	return kind, line
}

func (r *reply) number(line []byte) int64 {
	n := int64(0)
	digits := line
	if len(line) > 0 && line[0] == '-' {
		digits = line[1:]
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			r.fail(errReply)
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(line) {
		return -n
	}
	return n
}

// array gives the number of elements that follow; -1 for nil.
func (r *reply) array() int {
	switch kind, line := r.line(); kind {
	case '*':
		return int(r.number(line))
	case '_':
		return -1
	default:
		r.fail(errReply)
		return 0
	}
}

// bytes gives a string, capped to itself; nil where there is none.
func (r *reply) bytes() []byte {
	kind, line := r.line()
	switch kind {
	case '$':
		n := int(r.number(line))
		if n < 0 {
			return nil
		}
		if len(r.rest) < n+2 {
			r.fail(errReply)
			return nil
		}
		s := r.rest[:n:n]
		r.rest = r.rest[n+2:]
		return s
	case ':', '+':
		return line
	case '_':
		return nil
	}
	r.fail(errReply)
	return nil
}

// int gives a number, also where it came as a string.
func (r *reply) int() int64 {
	if len(r.rest) > 0 && r.rest[0] == ':' {
		_, line := r.line()
		return r.number(line)
	}
	s := r.bytes()
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		r.fail(errReply)
	}
	return n
}

// isArray reports whether an array comes next.
func (r *reply) isArray() bool { return len(r.rest) > 0 && r.rest[0] == '*' }
