// Package redisserver holds what the drivers for Redis share, whatever they keep in it: the reading of a URL without a word
// about its password, and what a server says of itself and of what a crash may cost. It makes no connections.
package redisserver
