package source

// Constant is a Source whose answer never changes nor fails, so that nothing of
// it need be kept on disk.
type Constant interface {
	Constant()
}
