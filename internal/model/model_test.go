package model_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// TestStateConventions holds what plan, desired and every engine rely on: a kind
// is a sorted slice of pointers to objects with a name and an origin.
func TestStateConventions(t *testing.T) {
	state := reflect.TypeFor[model.State]()
	for i := range state.NumField() {
		field := state.Field(i)
		if field.Type.Kind() != reflect.Slice || field.Type.Elem().Kind() != reflect.Pointer {
			t.Errorf("State.%s is a %s; want a slice of pointers, so that what did not change can be shared", field.Name, field.Type)
			continue
		}
		object := field.Type.Elem().Elem()
		if name, ok := object.FieldByName("Name"); !ok || name.Type.Kind() != reflect.String {
			t.Errorf("%s has no Name string to sort by", object)
		}
		if origin, ok := object.FieldByName("Origin"); !ok || origin.Type != reflect.TypeFor[model.Origin]() {
			t.Errorf("%s has no Origin to blame", object)
		}
		if !strings.HasPrefix(field.Name, object.Name()) {
			t.Errorf("State.%s holds %s; name it after them", field.Name, object)
		}
		if tag := field.Tag.Get("json"); tag == "" || strings.Contains(tag, "omitempty") {
			t.Errorf("State.%s needs a json tag without omitempty: a program reads the slice also when it is empty", field.Name)
		}
	}
}

// TestEverythingHasAJSONName keeps Go names out of files and outputs.
func TestEverythingHasAJSONName(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[model.State](), reflect.TypeFor[model.Fragment](), reflect.TypeFor[model.VIP](),
		reflect.TypeFor[model.Finding](), reflect.TypeFor[model.Outcome](), reflect.TypeFor[model.Held](),
	} {
		walk(t, typ, seen)
	}
}

func walk(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool) {
	switch typ.Kind() {
	case reflect.Slice, reflect.Pointer:
		walk(t, typ.Elem(), seen)
		return
	case reflect.Struct:
	default:
		return
	}
	if seen[typ] || !strings.HasSuffix(typ.PkgPath(), "internal/model") {
		return
	}
	seen[typ] = true
	for i := range typ.NumField() {
		if field := typ.Field(i); field.Tag.Get("json") == "" {
			t.Errorf("%s.%s has no json tag", typ, field.Name)
		} else {
			walk(t, field.Type, seen)
		}
	}
}

func TestOlder(t *testing.T) {
	early := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	late := early.Add(time.Hour)
	tests := []struct {
		name string
		o, p model.Origin
		want bool
	}{
		{"the earlier one", model.Origin{Name: "z", Created: early}, model.Origin{Name: "a", Created: late}, true},
		{"the later one", model.Origin{Name: "a", Created: late}, model.Origin{Name: "z", Created: early}, false},
		{"unknown is younger", model.Origin{Name: "a"}, model.Origin{Name: "z", Created: late}, false},
		{"known is older", model.Origin{Name: "z", Created: late}, model.Origin{Name: "a"}, true},
		{"same instant elsewhere, then namespace", model.Origin{Namespace: "a", Name: "z", Created: early.In(time.FixedZone("x", 60))}, model.Origin{Namespace: "b", Name: "a", Created: early}, true},
		{"then name", model.Origin{Name: "a", Kind: "z"}, model.Origin{Name: "b", Kind: "a"}, true},
		{"then kind", model.Origin{Kind: "Ingress"}, model.Origin{Kind: "Service"}, true},
		{"not older than itself", model.Origin{Name: "a"}, model.Origin{Name: "a"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.o.Older(tt.p); got != tt.want {
				t.Errorf("got %v", got)
			}
			if tt.want && tt.p.Older(tt.o) {
				t.Error("both are older than the other")
			}
		})
	}
}
