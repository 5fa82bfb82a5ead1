// Package atomicfile replaces files in one step: whoever reads the path sees the
// old content or the new, never a part. It imports nothing of ours.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// prefix begins the names of files in the making. The dot keeps them from
// whatever reads a folder of ours.
const prefix = ".landfall-new-"

// Write makes data the content of path, with exactly this mode. When it returns
// without error the content outlives a loss of power; with one, path is as it was
// or, if only the folder could not be synced, already new.
func Write(path string, data []byte, mode fs.FileMode) error {
	if err := replace(path, data, mode, true); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteUnsynced is Write for files that can be made anew: after a loss of power,
// and only then, path may be old, empty or missing. Ten thousand files take a
// second and not minutes.
func WriteUnsynced(path string, data []byte, mode fs.FileMode) error {
	if err := replace(path, data, mode, false); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Sweep removes what writes in dir left behind when they were cut off. Nobody may
// be writing there.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) && entry.Type().IsRegular() {
			errs = append(errs, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	return nil
}

func replace(path string, data []byte, mode fs.FileMode, sync bool) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, prefix)
	if err != nil {
		return err
	}
	err = fill(file, data, mode, sync)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	if sync {
		return syncDir(dir)
	}
	return nil
}

func fill(file *os.File, data []byte, mode fs.FileMode, sync bool) error {
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return err
	}
	if sync {
		return file.Sync()
	}
	return nil
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
