package meerkat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/access"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/files"
	"github.com/meerkat-go/meerkat/internal/process"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/sqlite"
)

// Examine looks at all that is kept in the folder of a realm, down to every row of every session, and says what is damaged and what to do. It changes
// nothing; other processes may use the realm meanwhile. It takes as long as it takes to read everything. Its error is that of the context alone.
func Examine(ctx context.Context, stateDir string) (control.Checkup, error) {
	e := &examination{dir: stateDir}
	e.beside(ctx)
	if e.log(); e.lost == nil {
		e.sessions(ctx)
	}
	return e.checkup(), ctx.Err()
}

// examination is what was found so far.
type examination struct {
	dir      string
	findings []control.Finding

	lost       error // what is wrong with the log
	rebuild    bool  // the file's structure is damaged, and can be made anew
	remade     bool  // that was done, and told
	broken     bool  // it is damaged, and cannot: nothing is written to it
	miscounted bool
	sick       []sick
	held       []store.Lease // of owners that may be alive
}

// sick is a session with damaged rows.
type sick struct {
	session id.Session
	finding int // its place among the findings
	rows    []sickRow
}

// sickRow is a damaged row; those without a place are needed to open the session.
type sickRow struct {
	driver.Finding
	use  driver.Use
	at   sqlite.Place
	last bool // the last event of its session
}

func (e *examination) checkup() control.Checkup {
	return control.Checkup{OK: !slices.ContainsFunc(e.findings, func(f control.Finding) bool { return !f.OK }), Findings: e.findings}
}

func (e *examination) well(name, detail, advice string) {
	e.findings = append(e.findings, control.Finding{Name: name, OK: true, Detail: detail, Advice: advice})
}

func (e *examination) ill(name string, err error, advice string) {
	e.findings = append(e.findings, control.Finding{Name: name, Detail: err.Error(), Advice: advice})
}

// scarce is how much space on a disk is little.
const scarce = 64 << 20

// beside looks at what is not the sessions.
func (e *examination) beside(ctx context.Context) {
	if _, err := (&config.Document{Dir: e.dir}).View(ctx); err != nil {
		advice := "Mend config.toml, or move it away: the realm then has no settings of its own"
		var ce *config.Error
		detail := err
		if errors.As(err, &ce) {
			detail, advice = errors.New(ce.What), cmp.Or(ce.Advice, advice)
		}
		e.ill("settings", detail, advice)
	} else {
		e.well("settings", "can be read", "")
	}
	if _, err := access.Of(filepath.Dir(e.dir)).List(ctx); err != nil {
		e.ill("keys", err, "Restore keys.json from a backup, or move it away and make new keys with 'rkat keys create': until then no server lets anybody in")
	}
	if free, known := files.Free(e.dir); known && free < scarce {
		e.ill("disk", fmt.Errorf("%d MiB are free on the disk of %s", free>>20, e.dir), "Free some space: without it nothing can be accepted")
	}
}

// log looks at the log before anything opens the store and thereby takes its traces away.
func (e *examination) log() {
	err := sqlite.CheckLog(storePath(e.dir))
	switch {
	case errors.Is(err, store.ErrCorrupt):
		e.lost = err
		e.ill("log", err, "Open the realm with nothing else before you have a copy of its folder. 'rkat doctor --repair' makes one and goes on with what can be "+
			"read. Sessions were not looked at: that would take the traces away")
	case err != nil:
		e.ill("log", err, adviceFor(err))
	}
}

// adviceFor says what to do about a file that cannot be looked at.
func adviceFor(err error) string {
	switch {
	case errors.Is(err, store.ErrFuture):
		return "Use the newer program that wrote it"
	case errors.Is(err, store.ErrReadOnly):
		return "Make the folder and its files readable and writable for this user"
	case errors.Is(err, store.ErrFull):
		return "Free some space on that disk"
	case errors.Is(err, store.ErrBusy):
		return "Another program keeps the file locked: end it, or try again"
	case errors.Is(err, store.ErrCorrupt):
		return "Copy the folder first. Then restore a backup, or try the recovery of the sqlite3 program (.recover)"
	}
	return "Look at the disk and the system's log, then try again"
}

// sessions looks at the store.
func (e *examination) sessions(ctx context.Context) {
	v, err := sqlite.OpenView(ctx, storePath(e.dir))
	switch {
	case errors.Is(err, store.ErrNotFound):
		e.well("store", "there are no sessions yet", "")
		return
	case errors.Is(err, sqlite.ErrOlder):
		e.well("store", sqlite.ErrOlder.Error(), "Its sessions were not looked at: open it, then ask again")
		return
	case err != nil:
		e.ill("store", err, adviceFor(err))
		return
	}
	e.look(ctx, v)
	if err := v.Close(); err != nil {
		e.ill("store", err, adviceFor(err))
	}
}

// look looks at a store that can be opened.
func (e *examination) look(ctx context.Context, v *sqlite.View) {
	e.structure(ctx, v)
	list, err := v.Sessions(ctx)
	if err != nil {
		e.ill("store", err, adviceFor(err))
		return
	}
	for _, s := range list {
		if ctx.Err() != nil {
			return
		}
		if rows := examine(ctx, v, s); len(rows) > 0 {
			e.told(s, rows)
		}
	}
	if len(e.sick) == 0 {
		e.well("rows", fmt.Sprintf("all of %d sessions can be read", len(list)), "")
	}
	e.leases(ctx, v)
}

// structure looks at what is not a session's.
func (e *examination) structure(ctx context.Context, v *sqlite.View) {
	problems, rebuild, err := v.Problems(ctx)
	switch {
	case err != nil:
		e.broken = true
		e.ill("store", err, adviceFor(err))
	case rebuild:
		e.rebuild = true
		e.ill("store", fmt.Errorf("indexes or free pages are damaged, and no row: %s", some(problems)), "'rkat doctor --repair' makes them anew")
	case len(problems) > 0:
		e.broken = true
		e.ill("store", fmt.Errorf("%w: %s", store.ErrCorrupt, some(problems)), adviceFor(store.ErrCorrupt)+". Sessions that can be read go on")
	case !e.remade:
		e.well("store", "its structure is whole", "")
	}
	wrong, err := v.Miscounted(ctx)
	if err != nil {
		e.ill("count", err, adviceFor(err))
	} else if wrong {
		e.miscounted = true
		e.ill("count", errors.New("how many sessions are active is written down wrongly"), "'rkat doctor --repair' counts them anew")
	}
	switch n, err := v.Orphans(ctx); {
	case err != nil:
		e.ill("orphans", err, adviceFor(err))
	case n > 0:
		e.ill("orphans", fmt.Errorf("%d rows belong to no session", n), adviceFor(store.ErrCorrupt))
	}
}

// some shows the first of many lines.
func some(lines []string) string {
	const shown = 3
	out := strings.Join(lines[:min(shown, len(lines))], "; ")
	if more := len(lines) - shown; more > 0 {
		out += fmt.Sprintf("; and %d more", more)
	}
	return out
}

// examine looks at every row of a session.
func examine(ctx context.Context, v *sqlite.View, s id.Session) []sickRow {
	var rows []sickRow
	last := -1 // the place among rows of the last event; below 0: that one is whole
	l, err := v.Session(ctx, s, func(at sqlite.Place, row any) {
		if _, ok := row.(store.EventRow); ok {
			last = -1
		}
		f, use := driver.ExamineRow(s, row)
		if f == nil {
			return
		}
		if _, ok := row.(store.EventRow); ok {
			last = len(rows)
		}
		rows = append(rows, sickRow{Finding: *f, use: use, at: at})
	})
	if last >= 0 {
		rows[last].last = true
	}
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) {
			rows = append(rows, sickRow{Finding: *driver.Unreadable("session", err)})
		}
		return rows
	}
	var d *driver.Damage
	if errors.As(driver.Examine(s, l), &d) {
		for _, f := range d.Findings {
			rows = append(rows, sickRow{Finding: f})
		}
	}
	return rows
}

// told adds a session's damage to the findings.
func (e *examination) told(s id.Session, rows []sickRow) {
	f := control.Finding{Name: "session", Session: s, Detail: fmt.Sprintf("%d damaged rows", len(rows))}
	needed, aside := 0, 0
	for _, r := range rows {
		f.Rows = append(f.Rows, control.DamagedRow{Row: r.Row, Digest: r.Digest, Reason: r.Reason})
		if r.use == driver.Needed {
			needed++
		} else if r.aside() {
			aside++
		}
	}
	switch {
	case e.broken:
		f.Advice = "First mend the store: nothing is written to it before"
	case needed > 0:
		f.Advice = "It cannot go on until these rows are mended or restored from a backup; other sessions do"
	case aside == len(rows):
		f.Advice = "It goes on. 'rkat doctor --repair' takes these rows out and keeps them"
	default:
		f.Advice = "It goes on. Rows that keep something from being done twice stay where they are; 'rkat doctor --repair' takes the others out and keeps them"
	}
	e.sick = append(e.sick, sick{s, len(e.findings), rows})
	e.findings = append(e.findings, f)
}

// aside reports whether a row may be taken out. The last event of a session may not: whoever follows it waits for that one.
func (r sickRow) aside() bool { return r.use == driver.Past && r.at.Row != 0 && !r.last }

// leases tells of owners that have died. Their leases are taken over, so nothing is wrong.
func (e *examination) leases(ctx context.Context, v *sqlite.View) {
	list, err := v.Leases(ctx)
	if err != nil {
		e.ill("leases", err, adviceFor(err))
		return
	}
	dead := 0
	for _, l := range list {
		if process.Gone(l.Owner) {
			dead++
		} else if l.Expires.After(time.Now()) {
			e.held = append(e.held, l)
		}
	}
	if dead > 0 {
		e.well("leases", fmt.Sprintf("%d of %d are of processes that have died", dead, len(list)), "Nothing is to be done: who opens such a session next takes it over")
	}
}
