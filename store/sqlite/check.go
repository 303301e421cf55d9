package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/meerkat-go/meerkat/store"
)

// Check reads a whole store file and reports what is wrong with it: ErrCorrupt, ErrFuture, or whatever kept it from being read. It
// changes nothing, and others may use the file meanwhile. Its time grows with the file.
func Check(ctx context.Context, path string) (err error) {
	doing := "check the session store"
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return explain(path, doing, fmt.Errorf("%w: there is no such file", store.ErrNotFound))
	}
	c, err := connect(path, readOnly, 10_000)
	if err != nil {
		return explain(path, doing, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	state, err := inspect(c)
	if err != nil {
		return explain(path, doing, err)
	}
	if _, err := state.current(); err != nil {
		return explain(path, doing, err)
	}
	var found []string
	err = c.query(ctx, func(row []driver.Value) error {
		if line := text(row[0]); line != "ok" {
			found = append(found, line)
		}
		return nil
	}, "PRAGMA quick_check")
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: %s: %s", store.ErrCorrupt, adviceCorrupt, strings.Join(found, "; "))
	}
	return explain(path, doing, err)
}
