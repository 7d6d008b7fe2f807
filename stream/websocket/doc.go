// Package websocket serves a stream.Feed over WebSocket, by github.com/coder/websocket. Frames, filters and positions are
// those of package stream; it knows nothing of how the log is read.
package websocket
