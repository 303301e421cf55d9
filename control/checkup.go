package control

import "github.com/meerkat-go/meerkat/id"

// Checkup is what was found in the folder of a realm and, of a repair, what was done about it.
type Checkup struct {
	OK       bool      `json:"ok"` // nothing is damaged, or what was is mended
	Findings []Finding `json:"findings"`
	Backup   string    `json:"backup,omitempty"` // of a repair: where everything is as it was; empty: nothing was changed
}

// Finding is one thing that was looked at.
type Finding struct {
	Name    string       `json:"name"`
	OK      bool         `json:"ok"`
	Detail  string       `json:"detail"`
	Advice  string       `json:"advice,omitempty"`
	Session id.Session   `json:"session,omitempty"` // what was looked at is this session
	Rows    []DamagedRow `json:"rows,omitempty"`    // what is damaged of it
	Done    string       `json:"done,omitempty"`    // of a repair: what was done
}

// DamagedRow is a row of a session that cannot be taken for what it should be.
type DamagedRow struct {
	Row    string `json:"row"`
	Digest string `json:"digest"` // SHA-256 of its bytes, in hex
	Reason string `json:"reason"`
	Done   string `json:"done,omitempty"` // of a repair: what became of it, or why it stays
}
