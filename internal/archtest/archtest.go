// Package archtest holds the import directions of STYLE.md and ARCHITECTURE.md as
// a test. It parses the files itself: a test that asked the go command would stay
// cached while the imports change.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/landfall-edge/landfall"

// file is what is known of one Go file.
type file struct {
	path, dir string
	test      bool
	imports   []imported
	ticks     []string // calls that look at the clock, as "time.Now"
	comment   string   // of the package
	pkg       string
}

type imported struct {
	path string
	line int
}

// Check reads every Go file of the module below fsys and returns what is wrong
// with it, sorted. Nested modules and testdata are left out.
func Check(fsys fs.FS) ([]string, error) {
	files, err := read(fsys)
	if err != nil {
		return nil, err
	}
	var wrong []string
	for _, f := range files {
		wrong = append(wrong, checkImports(f)...)
		wrong = append(wrong, checkPurity(f)...)
	}
	wrong = append(wrong, checkPackages(files)...)
	slices.Sort(wrong)
	return slices.Compact(wrong), nil
}

func read(fsys fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(fsys, name)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := readFile(fsys, name)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

// skip leaves out what the go command does not build as part of this module.
func skip(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, dir+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}

func readFile(fsys fs.FS, name string) (file, error) {
	f := file{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return f, err
	}
	mode := parser.ImportsOnly | parser.ParseComments
	if matches(f.dir, pure()) && !f.test {
		mode = parser.ParseComments // calls count as well
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, source, mode)
	if err != nil {
		return f, fmt.Errorf("parse %s: %w", name, err)
	}
	f.pkg, f.comment = tree.Name.Name, tree.Doc.Text()
	clockName := ""
	for _, i := range tree.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return f, fmt.Errorf("parse %s: import %s: %w", name, i.Path.Value, err)
		}
		f.imports = append(f.imports, imported{p, set.Position(i.Pos()).Line})
		if p == "time" {
			clockName = "time"
			if i.Name != nil {
				clockName = i.Name.Name
			}
		}
	}
	f.ticks = ticks(tree, clockName)
	return f, nil
}

// ticks finds the uses of functions that look at the clock, called or handed on.
func ticks(tree *ast.File, clockName string) []string {
	var found []string
	if clockName == "" {
		return nil
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == clockName && slices.Contains(clock(), s.Sel.Name) {
			found = append(found, "time."+s.Sel.Name)
		}
		return true
	})
	if clockName == "." {
		found = append(found, `import . "time"`)
	}
	return found
}

// checkImports compares a file's imports with the rules.
func checkImports(f file) []string {
	var wrong []string
	say := func(i imported, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s:%d imports %s: ", f.path, i.line, i.path)+fmt.Sprintf(format, args...))
	}
	for _, i := range f.imports {
		ours, isOurs := strings.CutPrefix(i.path, module+"/")
		switch {
		case f.test:
		case isOurs && matches(ours, testSupport()) && !matches(f.dir, testSupport()):
			say(i, "it is for _test.go files only")
		case isOurs:
			r, ok := ruleOf(f.dir)
			if ok && !matches(ours, r.may) {
				say(i, "%s; it may import %s of ours", r.why, list(r.may))
			}
		case strings.Contains(strings.Split(i.path, "/")[0], "."):
			if matches(f.dir, standardOnly()) {
				say(i, "%s needs the standard library only", f.dir)
			} else if o, ok := outsideOf(i.path); ok && !matches(f.dir, o.may) {
				say(i, "%s; only %s may", o.why, list(o.may))
			}
		}
	}
	return wrong
}

func list(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, ", ")
}

func outsideOf(imported string) (outside, bool) {
	for _, o := range outsides() {
		if imported == o.module || strings.HasPrefix(imported, o.module+"/") {
			return o, true
		}
	}
	return outside{}, false
}

// checkPurity finds I/O, logs and clocks where none belong.
func checkPurity(f file) []string {
	if f.test || !matches(f.dir, pure()) {
		return nil
	}
	var wrong []string
	for _, i := range f.imports {
		if slices.Contains(impure(), i.path) {
			wrong = append(wrong, fmt.Sprintf("%s:%d imports %s: %s is pure: no I/O, no clock, no chance, no logger, no ctx; what it needs is an input", f.path, i.line, i.path, f.dir))
		}
	}
	for _, t := range f.ticks {
		wrong = append(wrong, fmt.Sprintf("%s uses %s: %s is pure; the time is an input", f.path, t, f.dir))
	}
	return wrong
}

// checkPackages asks each package for a comment, a rule and a name that says something.
func checkPackages(files []file) []string {
	var wrong []string
	comments := map[string]bool{}
	names := map[string]string{}
	for _, f := range files {
		if !f.test {
			names[f.dir] = f.pkg
			comments[f.dir] = comments[f.dir] || f.comment != "" && (f.pkg == "main" || strings.HasPrefix(f.comment, "Package "+f.pkg+" "))
		}
	}
	for dir, name := range names {
		if !comments[dir] {
			wrong = append(wrong, fmt.Sprintf(`%s has no package comment; say what it is, and its rule: "// Package %s ..."`, dir, name))
		}
		if slices.Contains(noNames(), path.Base(dir)) || slices.Contains(noNames(), name) {
			wrong = append(wrong, dir+": the name says nothing; name the package after what it is about")
		}
		if _, ok := ruleOf(dir); !ok {
			wrong = append(wrong, dir+" has no rule; say in internal/archtest/rules.go what it may import, and why no more")
		}
	}
	return wrong
}

func ruleOf(dir string) (rule, bool) {
	for _, r := range rules() {
		if match(dir, r.from) {
			return r, true
		}
	}
	return rule{}, false
}

func matches(dir string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(dir, p) })
}

func match(dir, pattern string) bool {
	if above, deep := strings.CutSuffix(pattern, "/..."); deep {
		// "internal/source/*/..." is whatever lies below any directory there.
		n := strings.Count(above, "/") + 1
		parts := strings.Split(dir, "/")
		if len(parts) <= n {
			return false
		}
		ok, err := path.Match(above, strings.Join(parts[:n], "/"))
		return ok && err == nil
	}
	ok, err := path.Match(pattern, dir)
	return ok && err == nil
}
