// Package cli holds the commands of lexevents as a library. Each is a thin face of package admin: it reads flags, opens
// the store that the URL names, and prints. It knows no driver and no SQL.
package cli
