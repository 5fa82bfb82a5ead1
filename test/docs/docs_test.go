// Package docs keeps what is written for people true of the code, as far as a
// program can tell: links lead somewhere, examples parse, numbers are the code's.
package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
	"github.com/landfall-edge/landfall/internal/spec"
)

const root = "../.."

// pages are all *.md files, by their path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err == nil {
			found[name] = read(t, name)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatal("no pages", err)
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block is a fenced piece of a page.
type block struct {
	kind, text string
	line       int // of its first line, from 1
}

// blocks returns the fenced pieces of a page, and the page without them.
func blocks(page string) (found []block, rest string) {
	var b *block
	var prose strings.Builder
	for i, line := range strings.Split(page, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && b == nil:
			b = &block{kind: fence, line: i + 2}
		case isFence:
			found, b = append(found, *b), nil
		case b != nil:
			b.text += line + "\n"
		default:
			prose.WriteString(line + "\n")
		}
	}
	return found, prose.String()
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	noWord  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are what "#..." of a link may be, as GitHub makes them.
func anchors(page string) []string {
	_, prose := blocks(page)
	var all []string
	for _, m := range heading.FindAllStringSubmatch(prose, -1) {
		all = append(all, strings.ReplaceAll(noWord.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// TestLinks: every relative link of every page leads somewhere.
func TestLinks(t *testing.T) {
	all := pages(t)
	for name, page := range all {
		_, prose := blocks(page)
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := name
			if file != "" {
				to = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			} else if anchor != "" && !slices.Contains(anchors(all[to]), anchor) {
				t.Errorf("%s: the link %s leads to no heading of %s", name, m[1], to)
			}
		}
	}
}

// TestIndex: every page for operators is in their index.
func TestIndex(t *testing.T) {
	index := read(t, "docs/user/README.md")
	for name := range pages(t) {
		if dir, file := filepath.Split(name); dir == "docs/user/" && file != "README.md" && !strings.Contains(index, "("+file+")") {
			t.Errorf("docs/user/README.md does not name %s", file)
		}
	}
}

// TestEdgeFiles: every example of an edge's file is one.
func TestEdgeFiles(t *testing.T) {
	n := 0
	for name, page := range pages(t) {
		all, _ := blocks(page)
		for _, b := range all {
			if b.kind != "yaml" || !strings.HasPrefix(b.text, "apiVersion: landfall.dev/") {
				continue
			}
			n++
			if _, err := spec.Parse([]byte(b.text), fmt.Sprintf("%s, line %d on", name, b.line)); err != nil {
				t.Error(err)
			}
		}
	}
	if n == 0 {
		t.Error("there are none")
	}
}

// TestManifests: the manifests to begin with are such that nothing is said of them.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples/manifests/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no manifests", err)
	}
	reader, err := parse.New(translate.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	translator := translate.New(translate.Options{Source: "files", Reach: translate.Pods})
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out := reader.Read(data, parse.File{})
		for _, p := range out.Problems {
			t.Errorf("%s:%d: %s", file, p.Line, p.Message)
		}
		for _, o := range out.Objects {
			translator.Set(o.Object)
		}
	}
	fragment := translator.Fragment()
	findings := fragment.Findings
	for _, p := range fragment.Parts {
		findings = append(findings, p.Findings...)
	}
	for _, f := range findings {
		t.Errorf("%s %s: %s", f.Origin.Kind, f.Origin, f.Message)
	}
}

var pipelineCase = regexp.MustCompile(`test/pipeline/testdata/[a-z-]+\.txtar`)

// TestQuotes: what is quoted of the cases of test/pipeline stands there. A line
// "..." leaves something out.
func TestQuotes(t *testing.T) {
	quoted := map[string]bool{}
	for name, page := range pages(t) {
		if !strings.HasPrefix(name, "docs/user/") {
			continue
		}
		all, _ := blocks(page)
		for _, b := range all {
			from := caseBefore(strings.Split(page, "\n"), b.line-2)
			if from == "" {
				continue
			}
			quoted[from] = true
			whole := read(t, from)
			for _, piece := range strings.Split(b.text, "...\n") {
				if !strings.Contains(whole, piece) {
					t.Errorf("%s, line %d: %s does not hold\n%s", name, b.line, from, piece)
				}
			}
		}
	}
	if len(quoted) < 3 {
		t.Errorf("only %d cases are quoted", len(quoted))
	}
}

// caseBefore is the case that is named in the few lines before the block whose
// fence is lines[fence].
func caseBefore(lines []string, fence int) string {
	for i := fence - 1; i >= max(0, fence-4) && !strings.HasPrefix(lines[i], "```"); i-- {
		if from := pipelineCase.FindString(lines[i]); from != "" {
			return from
		}
	}
	return ""
}

// TestExitCodes: the manual has the codes of the code, all of them.
func TestExitCodes(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "cmd/landfall/exit.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "exit") && len(v.Values) == 1 {
			if code, ok := v.Values[0].(*ast.BasicLit); ok {
				want = append(want, code.Value)
			}
		}
		return true
	})
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(read(t, "docs/user/commands.md"), -1) {
		got = append(got, m[1])
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("docs/user/commands.md has the exit codes %v, and cmd/landfall %v", got, want)
	}
}

// TestTimeouts: the manual has every timeout that HAProxy is given.
func TestTimeouts(t *testing.T) {
	page := read(t, "docs/user/limits.md")
	for _, f := range haproxy.Render(haproxy.Settings{Dir: "/s", RunDir: "/r"}, model.State{}) {
		for line := range strings.Lines(f.Content) {
			words := strings.Fields(line)
			if len(words) != 3 || words[0] != "timeout" {
				continue
			}
			row := regexp.MustCompile("(?m)^\\|.*`timeout " + regexp.QuoteMeta(words[1]) + "`.*$").FindString(page)
			if !strings.Contains(row, "`"+words[2]+"`") {
				t.Errorf("docs/user/limits.md does not have %q", strings.Join(words, " "))
			}
		}
	}
	if n := strconv.Itoa(haproxy.StickTableSize/1000) + ",000"; !strings.Contains(page, n) {
		t.Errorf("docs/user/limits.md does not have %s, the size of a stick table", n)
	}
}

// TestNames: the manual has every annotation, and no metric that there is not.
func TestNames(t *testing.T) {
	page := read(t, "docs/user/kubernetes.md")
	for _, name := range []string{
		annotation.Expose, annotation.Ports, annotation.VIP, annotation.Balance,
		annotation.ProxyProtocol, annotation.LimitRPS, annotation.LimitConnections,
	} {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/user/kubernetes.md lacks %s", name)
		}
	}
	code := read(t, "internal/admin/metrics.go")
	for _, name := range regexp.MustCompile(`landfall_[a-z_]+`).FindAllString(read(t, "docs/user/status-and-metrics.md"), -1) {
		if !strings.Contains(code, `"`+name+`"`) && !strings.Contains(code, `{"`+strings.TrimPrefix(name, "landfall_")+`"`) {
			t.Errorf("docs/user/status-and-metrics.md: there is no metric %s", name)
		}
	}
}
