package cli

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long command is, where somebody watches.
type progress struct{ bar *progressbar.ProgressBar }

// progress begins a bar on stderr; total is -1 where it is not known. It shows nothing where stderr is no terminal.
func (a *app) progress(what string, total int64, bytes bool) *progress {
	if !isTerminal(a.stderr) {
		return &progress{}
	}
	o := []progressbar.Option{
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetWidth(30), progressbar.OptionShowBytes(bytes),
	}
	return &progress{bar: progressbar.NewOptions64(total, o...)}
}

// at says how much is done, and of how much.
func (p *progress) at(done, of int64) {
	if p.bar == nil {
		return
	}
	if of > 0 && of != p.bar.GetMax64() {
		p.bar.ChangeMax64(of)
	}
	_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
