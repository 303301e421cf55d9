package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Damage says what is wrong with a session as it is stored: all of it, so that whoever mends it need look once. Nothing of it was remembered and
// nothing written: when the rows are whole the next reader finds them so. Compare with store.ErrCorrupt, or store.ErrFuture if a newer version
// has written any of it.
type Damage struct {
	Session  id.Session
	Findings []Finding
}

// Finding is one row that cannot be taken for what it should be.
type Finding struct {
	Row    string // such as "input a", "effect 3.0", "profile"; "session": the control column, or what no row is to blame for alone
	Digest string // SHA-256 of the row's bytes as they are stored, in hex
	Reason string

	sort error // store.ErrCorrupt or store.ErrFuture
}

// Error names the row and what is wrong.
func (f *Finding) Error() string { return fmt.Sprintf("read %s: %v: %s", f.Row, f.sort, f.Reason) }

// Unwrap returns store.ErrCorrupt or store.ErrFuture.
func (f *Finding) Unwrap() error { return f.sort }

// FaultCode is Corrupt.
func (f *Finding) FaultCode() fault.Code { return fault.Corrupt }

// corrupt is a finding about a row whose bytes are data.
func corrupt(row string, data []byte, format string, args ...any) *Finding {
	return &Finding{row, digest(data), fmt.Sprintf(format, args...), store.ErrCorrupt}
}

// later is a finding about a row that a newer version has written.
func later(row string, data []byte, format string, args ...any) *Finding {
	return &Finding{row, digest(data), fmt.Sprintf(format, args...), store.ErrFuture}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// note adds what was found, if anything was.
func (d *Damage) note(err error) {
	var f *Finding
	if errors.As(err, &f) {
		d.Findings = append(d.Findings, *f)
	}
}

// whole returns the damage if there is any.
func (d *Damage) whole() error {
	if len(d.Findings) == 0 {
		return nil
	}
	return d
}

// damaged is the damage that one reading found; any other error is returned as it is.
func damaged(s id.Session, err error) error {
	d := &Damage{Session: s}
	if d.note(err); len(d.Findings) > 0 {
		return d
	}
	return err
}

// shown is how many findings an error's text tells; the rest is counted.
const shown = 3

// Error tells what was found first, and how much more there is.
func (d *Damage) Error() string {
	var b strings.Builder
	for n := range d.Findings[:min(shown, len(d.Findings))] {
		if n > 0 {
			b.WriteString("; ")
		}
		b.WriteString(d.Findings[n].Error())
	}
	if more := len(d.Findings) - shown; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// Unwrap returns the findings.
func (d *Damage) Unwrap() []error {
	out := make([]error, len(d.Findings))
	for n := range d.Findings {
		out[n] = &d.Findings[n]
	}
	return out
}

// FaultCode is Corrupt.
func (d *Damage) FaultCode() fault.Code { return fault.Corrupt }

// Evidence is a digest of all findings: equal for equal bytes with equal faults, so that two reports can be seen to be of one damage.
func (d *Damage) Evidence() string {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%s\x00%s\x00%s\n", f.Row, f.Digest, f.Reason)
	}
	return digest([]byte(b.String()))
}
