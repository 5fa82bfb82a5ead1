// Command image packs a static binary into container images, without Docker. The
// same input makes the same digest, byte for byte.
//
//	image -version v1.2.3 -o dist amd64=bin/landfall-amd64 arm64=bin/landfall-arm64
//
// It writes <o>/landfall-image.tar, an OCI layout of all architectures (for ctr,
// podman, skopeo, Docker with its containerd store), and for each architecture a
// <o>/landfall-image-<arch>.tar in Docker's form (for every docker load, and ctr).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is "nonroot", the number that others give it too.
const user = "65532:65532"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run() error {
	repository := flag.String("name", "localhost/landfall", "`NAME` of the image, without a tag")
	version := flag.String("version", "dev", "its `TAG`")
	out := flag.String("o", "dist", "`FOLDER` to write to")
	flag.Parse()
	tag, err := name.NewTag(*repository + ":" + *version)
	if err != nil {
		return err
	}
	if flag.NArg() == 0 {
		return fmt.Errorf("want ARCH=BINARY, for example amd64=bin/landfall")
	}
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arg := range flag.Args() {
		arch, binary, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q: want ARCH=BINARY, for example amd64=bin/landfall", arg)
		}
		image, err := pack(arch, binary, *version)
		if err != nil {
			return fmt.Errorf("pack %s: %w", binary, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
		path := filepath.Join(*out, "landfall-image-"+arch+".tar")
		if err := write(path, func(f *os.File) error { return tarball.Write(tag, image, f) }); err != nil {
			return err
		}
		id, err := image.ConfigName() // docker images shows it
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s  %s\n", path, tag, id)
	}
	path := filepath.Join(*out, "landfall-image.tar")
	if err := write(path, func(f *os.File) error { return writeLayout(f, index, tag) }); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s  %s  %s\n", path, tag, digest)
	return nil
}

// write makes a file that has its name only when it is whole.
func write(path string, fill func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".image-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := fill(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// pack makes the image of one architecture.
func pack(arch, binary, version string) (v1.Image, error) {
	layer, err := layer(binary)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{
		Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: epoch()}, CreatedBy: "make image"},
	}); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: epoch()}
	config.Config = v1.Config{
		User:       user,
		Entrypoint: []string{"/landfall"},
		// The containers that this one can replace are run without arguments.
		Cmd:        []string{"phone-home"},
		Env:        []string{"PATH=/"},
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":       "landfall",
			"org.opencontainers.image.description": "A front door for Kubernetes on your own machines",
			"org.opencontainers.image.version":     version,
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.source":      "https://github.com/landfall-edge/landfall",
		},
	}
	return mutate.ConfigFile(image, config)
}

// epoch is when everything in an image was made, so that when it was really made
// makes no difference.
func epoch() time.Time { return time.Unix(0, 0).UTC() }
