package deadletter

// Buckets names all buckets.
func Buckets() []string {
	return []string{lettersBucket, partsBucket, requestsBucket, sequencesBucket, membersBucket}
}

// Forget makes a letter that was read comparable with one that was not.
func Forget(l *Letter) { l.revision, l.parts = 0, parts{} }
