package docstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryGoSnippetCompilesAndPrintsWhatThePageSays(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "go" {
				continue
			}
			t.Run(fmt.Sprintf("%s:%d", p.path, b.line), func(t *testing.T) {
				t.Parallel()
				switch {
				case b.source != "":
					standsIn(t, b)
				case strings.HasPrefix(b.text, "package main\n"):
					runs(t, b)
				default:
					t.Error("the snippet is neither a whole program nor names the file that it is an excerpt of")
				}
			})
		}
	}
}

// standsIn checks that the excerpt's pieces are found in its file, in their order, whatever their indentation is.
func standsIn(t *testing.T, b block) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, b.source))
	if err != nil {
		t.Fatal(err)
	}
	lines := dedented(string(raw))
	at := 0
	for piece := range strings.SplitSeq(strings.TrimSpace(b.text), "…\n") {
		wanted := dedented(strings.TrimSpace(piece))
		i := find(lines[at:], wanted)
		if i < 0 {
			t.Fatalf("these lines are not in %s (any more, or not in this order):\n%s", b.source, piece)
		}
		at += i + len(wanted)
	}
}

func dedented(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

func find(lines, wanted []string) int {
	for i := range len(lines) - len(wanted) + 1 {
		if slices.Equal(lines[i:i+len(wanted)], wanted) {
			return i
		}
	}
	return -1
}

// runs builds the program as a part of this module, and compares what it prints.
func runs(t *testing.T, b block) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	module, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(module, "internal", "docstest", "snippet", "main.go"): source,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{source: []byte(b.text), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./internal/docstest/snippet")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("it does not compile: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), program)
	run.Dir = dir
	var stdout, stderr bytes.Buffer
	run.Stdout, run.Stderr = &stdout, &stderr
	if err := run.Run(); err != nil {
		t.Fatalf("it fails: %v\n%s", err, stderr.String())
	}
	if b.next == nil || b.next.language != "text" {
		t.Fatal("no text block shows what the program prints")
	}
	if got := stdout.String(); got != b.next.text {
		t.Errorf("it prints\n%s\nthe page says\n%s", got, b.next.text)
	}
}

// commandLine is a use of our command in a shell block: what stands before a pipe, a comment or another command.
var commandLine = regexp.MustCompile(`(?:^|[ ($])lexevents((?: [^|#;&>)]*)?)`)

func TestEveryCommandLineNamesCommandsAndFlagsThatThereAre(t *testing.T) {
	program := filepath.Join(t.TempDir(), "lexevents")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/lexevents")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := map[string]string{}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "sh" && b.language != "bash" && b.language != "console" {
				continue
			}
			text := strings.ReplaceAll(b.text, "\\\n", " ")
			text = strings.ReplaceAll(text, "go run ./cmd/lexevents", "lexevents")
			for line := range strings.Lines(text) {
				for _, match := range commandLine.FindAllStringSubmatch(strings.TrimRight(line, "\n"), -1) {
					checkCommand(t, fmt.Sprintf("%s:%d", p.path, b.line), program, help, strings.Fields(match[1]))
				}
			}
		}
	}
}

func checkCommand(t *testing.T, where, program string, help map[string]string, args []string) {
	t.Helper()
	var path []string
	for _, arg := range args {
		if !regexp.MustCompile(`^[a-z]+$`).MatchString(arg) {
			break
		}
		path = append(path, arg)
	}
	// The longest run of words that is a command: what follows it are arguments.
	for ; ; path = path[:len(path)-1] {
		name := strings.Join(path, " ")
		if _, known := help[name]; !known {
			out, err := exec.CommandContext(t.Context(), program, append(slices.Clone(path), "--help")...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), strings.TrimSpace("lexevents "+name)) {
				out = nil // the help of a word that is no command is that of the command before it
			}
			help[name] = string(out)
		}
		if help[name] != "" || len(path) == 0 {
			break
		}
	}
	if len(path) == 0 && len(args) > 0 && regexp.MustCompile(`^[a-z]`).MatchString(args[0]) {
		t.Errorf("%s: there is no command %q", where, strings.Join(args, " "))
		return
	}
	text := help[strings.Join(path, " ")]
	if next := len(path); next < len(args) && strings.Contains(text, "Available Commands:") && !strings.HasPrefix(args[next], "-") && args[next] != "…" {
		t.Errorf("%s: lexevents %s has no command %q", where, strings.Join(path, " "), args[next])
	}
	for _, arg := range args {
		flag, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(flag, "--") && len(flag) > 2 && !regexp.MustCompile(regexp.QuoteMeta(flag)+`\b`).MatchString(text) {
			t.Errorf("%s: lexevents %s has no flag %s", where, strings.Join(path, " "), flag)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestEveryLinkLeadsToAFileThatThereIs(t *testing.T) {
	for _, p := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(p.text, -1) {
			target, _, _ := strings.Cut(match[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(p.path), target)); err != nil {
				t.Errorf("%s: %v", p.path, err)
			}
		}
	}
}
