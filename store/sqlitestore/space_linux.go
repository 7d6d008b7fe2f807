package sqlitestore

import "syscall"

// space tells how much of a file system is free, in bytes, and whether it is another machine's.
func space(path string) (free, total uint64, remote bool, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, false, err
	}
	const nfs, smb, smb2, cifs, ceph = 0x6969, 0x517b, 0xfe534d42, 0xff534d42, 0x00c36400 // statfs(2)
	switch uint32(s.Type) {                                                               //nolint:gosec // magic numbers have 32 bits
	case nfs, smb, smb2, cifs, ceph:
		remote = true
	}
	size := uint64(s.Bsize) //nolint:gosec // of a block
	return s.Bavail * size, s.Blocks * size, remote, nil
}

// writable reports whether the user may write a file, or in a folder, without opening it: to close a file of SQLite's gives up
// the locks that the process has on it.
func writable(path string) bool {
	const write = 2
	return syscall.Access(path, write) == nil
}
