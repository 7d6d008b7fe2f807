//go:build !linux

package sqlitestore

import (
	"errors"
	"os"
)

// space is known on Linux alone.
func space(string) (free, total uint64, remote bool, err error) {
	return 0, 0, false, errors.ErrUnsupported
}

// writable goes by the bits of the file.
func writable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o200 != 0
}
