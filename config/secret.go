package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// Secret is a text that never prints: whatever formats, logs or encodes it gets Masked. string(s) is the text itself.
type Secret string

// hidden stands for what is not shown.
const hidden = "***"

// String gives Masked.
func (s Secret) String() string { return s.Masked() }

// GoString gives Masked.
func (s Secret) GoString() string { return s.Masked() }

// MarshalText gives Masked.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Masked()), nil }

// LogValue gives Masked.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.Masked()) }

// Masked shows what is harmless: of a URL the scheme, the hosts and the path; nothing of anything else.
func (s Secret) Masked() string {
	if s == "" {
		return ""
	}
	scheme, rest, found := strings.Cut(string(s), "://")
	if !found || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+.-") != "" {
		return hidden
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	// A password that is not encoded may hold any character, the question mark too: then all behind it is hidden.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = hidden + "@" + rest[at+1:]
	} else if strings.Contains(query, "@") {
		return scheme + "://" + hidden
	}
	if hasQuery {
		rest += "?" + maskQuery(query)
	}
	return scheme + "://" + rest
}

// maskQuery keeps the names of parameters.
func maskQuery(query string) string {
	var shown []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, found := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err != nil || strings.ContainsAny(plain, "@:/ ") {
			return hidden
		}
		if found {
			if !harmless(name) {
				value = hidden
			}
			name += "=" + value
		}
		shown = append(shown, name)
	}
	return strings.Join(shown, "&")
}

// harmless reports whether the value of a parameter may be shown: those that people look for when something is amiss.
func harmless(name string) bool {
	switch strings.ToLower(name) {
	case "sslmode", "schema", "prefix", "name", "stream", "exchange", "replicaset", "authsource", "heartbeat", "pool_max_conns", "maxpoolsize":
		return true
	}
	return false
}
