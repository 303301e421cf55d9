package meerkat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/internal/files"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/sqlite"
)

// Repair is Examine, and then mends what can be mended without a guess: indexes and free pages are made anew out of whole tables, numbers that are
// derived are counted again, and damaged rows that nothing is decided by are taken out if the session can be opened then. Before anything is changed all
// files are copied into a folder of their own, which also keeps every row that is taken out. Where there is nothing to mend nothing is written.
//
// It refuses, with code owned_elsewhere, while anybody else has the realm open, and with code storage if there is no room for the copy. Nothing was
// changed then.
func Repair(ctx context.Context, stateDir string) (_ control.Checkup, err error) {
	if sqlite.IsOpen(storePath(stateDir)) {
		return control.Checkup{}, inUse("this process has it open")
	}
	if _, err := os.Stat(stateDir); errors.Is(err, os.ErrNotExist) {
		return Examine(ctx, stateDir)
	}
	unlock, ok, err := files.TryLock(filepath.Join(stateDir, "daemon.lock"))
	if err != nil {
		return control.Checkup{}, fmt.Errorf("repair %s: %w", stateDir, err)
	}
	if !ok {
		return control.Checkup{}, inUse("a server has it")
	}
	defer func() { err = errors.Join(err, unlock()) }()
	e := &examination{dir: stateDir}
	e.beside(ctx)
	if e.log(); e.lost == nil {
		e.sessions(ctx)
	}
	if err := ctx.Err(); err != nil || !e.mendable() {
		return e.checkup(), err
	}
	if len(e.held) > 0 {
		l := e.held[0]
		return control.Checkup{}, inUse(fmt.Sprintf("session %s is held by process %d until %s", l.Session, l.Owner.PID, l.Expires.Format(time.RFC3339)))
	}
	r := repair{examination: e}
	if err := r.run(ctx); err != nil {
		return control.Checkup{}, err
	}
	c := e.checkup()
	c.Backup = r.backup
	return c, nil
}

func inUse(how string) error {
	return &control.Error{Code: fault.OwnedElsewhere, Message: "the realm is in use, so nothing was changed: " + how + ". End that, then try again"}
}

// mendable reports whether there is anything that a repair could do.
func (e *examination) mendable() bool {
	if e.lost != nil || e.rebuild {
		return true
	}
	if e.broken || e.miscounted {
		return !e.broken
	}
	for _, s := range e.sick {
		if len(s.removable()) > 0 {
			return true
		}
	}
	return false
}

// removable are the rows to take out; none if the session could not be opened without them either.
func (s sick) removable() (out []sickRow) {
	for _, r := range s.rows {
		if r.use == driver.Needed {
			return nil
		}
		if r.aside() {
			out = append(out, r)
		}
	}
	return out
}

// repair is one that is going on.
type repair struct {
	*examination
	backup string
	wrote  bool                   // something was changed, or is lost: the copy stays
	stamps map[string]files.Stamp // of the files, before they were copied
	m      *sqlite.Mender
}

func (r *repair) run(ctx context.Context) (err error) {
	if err := r.room(); err != nil {
		return err
	}
	if err := r.copyAll(ctx); err != nil {
		return errors.Join(fmt.Errorf("copy the realm before its repair: %w", err), os.RemoveAll(r.backup))
	}
	if r.m, err = sqlite.OpenMender(ctx, storePath(r.dir)); errors.Is(err, store.ErrBusy) {
		return errors.Join(inUse("another process has the sessions open"), os.RemoveAll(r.backup))
	} else if err != nil {
		return fmt.Errorf("everything is copied to %s, and nothing was changed: %w", r.backup, err)
	}
	defer func() { err = errors.Join(err, r.m.Close()) }()
	if changed, err := r.changed(); err != nil || changed {
		return errors.Join(inUse("somebody wrote while it was copied"), err, os.RemoveAll(r.backup))
	}
	if r.lost != nil {
		r.wrote = true
		r.done("log", "everything is as it was in "+r.backup+"; the sessions go on from what could be read", true)
		r.look(ctx, &r.m.View)
	}
	if err := r.mend(ctx); err != nil {
		return fmt.Errorf("the repair was broken off; everything as it was is in %s: %w", r.backup, err)
	}
	if r.wrote {
		return nil
	}
	gone := r.backup
	r.backup = ""
	return os.RemoveAll(gone)
}

// kept are the files of a realm.
func (r *repair) kept() []string {
	db := storePath(r.dir)
	return []string{db, db + "-wal", db + "-shm", db + "-journal", filepath.Join(r.dir, "config.toml"), filepath.Join(r.dir, "config_state.json")}
}

// room refuses to begin what the disk has no room for: the copy, and what is made anew, which SQLite writes twice.
func (r *repair) room() error {
	var size int64
	for _, path := range r.kept() {
		if info, err := os.Stat(path); err == nil {
			size += info.Size()
		}
	}
	const margin = 8 << 20
	need := uint64(size) + margin
	if r.rebuild || r.lost != nil {
		need += 2 * uint64(size)
	}
	if free, known := files.Free(r.dir); known && free < need {
		return &control.Error{Code: fault.Storage, Message: fmt.Sprintf("a repair needs %d MiB on the disk of %s and %d are free: nothing was changed. Free some space",
			need>>20+1, r.dir, free>>20)}
	}
	return nil
}

// copyAll copies the files as they are, damage included.
func (r *repair) copyAll(ctx context.Context) error {
	r.stamps = map[string]files.Stamp{}
	name := filepath.Join(r.dir, "backup-"+time.Now().UTC().Format("20060102T150405.000Z"))
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	r.backup = name
	for _, path := range r.kept() {
		stamp, err := files.StampOf(path)
		if err != nil {
			return err
		}
		if r.stamps[path] = stamp; !stamp.There() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copyFile(path, filepath.Join(name, filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// changed reports whether a file is not what was copied. The index of the log is not looked at: it is made anew by whoever opens the file.
func (r *repair) changed() (bool, error) {
	for path, before := range r.stamps {
		if path == storePath(r.dir)+"-shm" {
			continue
		}
		now, err := files.StampOf(path)
		if err != nil {
			return true, err
		}
		if emptyLog(path, now, before) || now.Same(before) {
			continue
		}
		return true, nil
	}
	return false, nil
}

// emptyLog reports whether all that happened is that we made a log, in which there is nothing.
func emptyLog(path string, now, before files.Stamp) bool {
	if before.There() || !now.There() || filepath.Ext(path) != ".sqlite3-wal" {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Size() == 0
}

// done says of what was found under a name what was done.
func (e *examination) done(name, what string, ok bool) {
	for n := range e.findings {
		if f := &e.findings[n]; f.Name == name && !f.OK {
			f.OK, f.Done = ok, what
			if ok {
				f.Advice = ""
			}
			return
		}
	}
}

// mend does what can be done, and then looks again whether it is.
func (r *repair) mend(ctx context.Context) error {
	if r.rebuild {
		fresh := filepath.Join(r.backup, "rebuilt.sqlite3")
		if err := r.m.Rebuild(ctx, fresh); err != nil {
			r.done("store", "it could not be made anew: "+err.Error(), false)
			return errors.Join(ctx.Err(), r.clear(fresh)) // what stands on it is not touched
		}
		r.wrote = true
		r.done("store", "made anew out of its tables, with every row", true)
		if err := r.clear(fresh); err != nil {
			return err
		}
		r.afresh(ctx)
	}
	if r.broken {
		return nil
	}
	if r.miscounted {
		if err := r.m.Recount(); err != nil {
			return err
		}
		r.wrote = true
		r.done("count", "counted anew", true)
	}
	for _, s := range r.sick {
		if err := r.takeOut(ctx, s); err != nil {
			return err
		}
	}
	return r.lookAgain(ctx)
}

// clear removes what was made on the way.
func (r *repair) clear(fresh string) error {
	for _, path := range []string{fresh, fresh + "-journal", fresh + "-wal", fresh + "-shm"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("repair the sessions: remove what was made on the way: %w", err)
		}
	}
	return nil
}

// afresh looks again at what could not be seen well through damaged indexes.
func (r *repair) afresh(ctx context.Context) {
	r.findings = slices.DeleteFunc(r.findings, func(f control.Finding) bool {
		return slices.Contains([]string{"rows", "session", "count", "orphans", "leases"}, f.Name)
	})
	r.rebuild, r.remade, r.miscounted, r.sick = false, true, false, nil
	r.look(ctx, &r.m.View)
}

// lookAgain takes back what was said to be mended and is not.
func (r *repair) lookAgain(ctx context.Context) error {
	again := &examination{dir: r.dir}
	again.look(ctx, &r.m.View)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, f := range again.findings {
		if f.OK {
			continue
		}
		known := false
		for n := range r.findings {
			if was := &r.findings[n]; was.Name == f.Name && was.Session == f.Session {
				if known = true; was.OK {
					was.OK, was.Advice = false, "It is still damaged: "+f.Detail
				}
			}
		}
		if !known {
			r.findings = append(r.findings, f)
		}
	}
	return nil
}

// setAside is a line of the file that keeps the rows that were taken out. Bodies are bytes, in base64.
type setAside struct {
	Session string         `json:"session"`
	Table   string         `json:"table"`
	RowID   int64          `json:"rowid"`
	Row     string         `json:"row"`
	Digest  string         `json:"digest"`
	Reason  string         `json:"reason"`
	Columns map[string]any `json:"columns"`
}

// takeOut takes the rows of a session out that it can do without, if it can be opened then, and says of every row what became of it.
func (r *repair) takeOut(ctx context.Context, s sick) error {
	f := &r.findings[s.finding]
	out := s.removable()
	for n, row := range s.rows {
		f.Rows[n].Done = stays(row)
	}
	if len(out) == 0 {
		f.Done = "nothing: no row of it can be taken out"
		return nil
	}
	if err := r.m.Begin(); err != nil {
		return err
	}
	why, err := r.remove(ctx, s, out)
	if err != nil || why != "" {
		f.Done = "nothing: " + why
		return errors.Join(err, r.m.Rollback())
	}
	if err := r.m.Commit(); err != nil {
		return errors.Join(err, r.m.Rollback())
	}
	r.wrote = true
	for n, row := range s.rows {
		if row.aside() {
			f.Rows[n].Done = "taken out, and kept"
		}
	}
	f.Done = fmt.Sprintf("%d rows taken out, kept in %s", len(out), r.asideFile())
	if f.OK = len(out) == len(s.rows); f.OK {
		f.Advice = ""
	} else {
		f.Advice = "It goes on. Rows that stay keep something from being done twice, or from being waited for in vain"
	}
	return nil
}

// stays says why a row is not taken out.
func stays(r sickRow) string {
	switch {
	case r.last:
		return "left: it is the last event, and whoever follows the session waits for it"
	case r.use == driver.Guarded:
		return "left: without it something could be done twice"
	}
	return "left"
}

func (r *repair) asideFile() string { return filepath.Join(r.backup, "set-aside.jsonl") }

// remove takes rows out inside a transaction. why says why it must not be kept.
func (r *repair) remove(ctx context.Context, s sick, out []sickRow) (why string, err error) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, row := range out {
		columns, err := r.m.Row(ctx, row.at)
		if err != nil {
			return "", err
		}
		if err := enc.Encode(setAside{string(s.session), row.at.Table, row.at.Row, row.Row, row.Digest, row.Reason, columns}); err != nil {
			return "", err
		}
		if err := r.m.Remove(ctx, row.at, row.Digest); err != nil {
			return "", err
		}
	}
	left := examine(ctx, &r.m.View, s.session)
	if len(left) != len(s.rows)-len(out) {
		return "it would not be better without these rows", ctx.Err()
	}
	for _, l := range left {
		if l.use == driver.Needed {
			return "it could not be opened without these rows", nil
		}
	}
	return "", r.keep(lines.Bytes())
}

// keep writes rows into the backup before they go.
func (r *repair) keep(lines []byte) error {
	f, err := os.OpenFile(r.asideFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
