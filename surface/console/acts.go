package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// The most bytes a form may have as it is sent. A character may take three times as many there as it has, so the most a submit may hold comes through
// whatever it is.
const (
	smallForm = 64 << 10
	largeForm = 3*control.MaxContent + smallForm
)

// sayings are what a page says after something was done, by the word that is in its address.
var sayings = map[string]string{
	"sent":        "Sent. It is kept, whatever becomes of this page.",
	"again":       "This had been sent before; it was not sent twice.",
	"interrupted": "The run was interrupted.",
	"stopping":    "The run ends at its next boundary.",
	"archived":    "The session was archived.",
	"over":        "That run was over already.",
	"made":        "The session was made.",
}

// done answers that something was done: by the page of the session, or by a word for the script.
func (c *console) done(w http.ResponseWriter, r *http.Request, s id.Session, said string) {
	if !wantsPage(r) {
		c.json(w, http.StatusOK, map[string]string{"said": sayings[said], "nonce": nonce(), "page": "/console/sessions/" + string(s)})
		return
	}
	http.Redirect(w, r, "/console/sessions/"+string(s)+"?said="+said, http.StatusSeeOther)
}

// form reads a form of at most that many bytes.
func (c *console) form(w http.ResponseWriter, r *http.Request, v visit, most int64) bool {
	held := &held{ReadCloser: http.MaxBytesReader(w, r.Body, most), forms: &c.forms}
	context.AfterFunc(r.Context(), held.giveBack) // what was read is in memory until the request is over
	r.Body = held
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, v, formError(err))
		return false
	}
	return true
}

// maxForms bounds the bytes of all forms that are being read at once. A form is in memory a few times over while it is read.
const maxForms = 64 << 20

// held counts what is read of a form among what is read of all of them.
type held struct {
	io.ReadCloser
	forms *atomic.Int64
	n     int64
}

// Read reads, unless there is no room for more.
func (h *held) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.n += int64(n)
	if h.forms.Add(int64(n)) > maxForms {
		return n, errForms
	}
	return n, err
}

func (h *held) giveBack() { h.forms.Add(-h.n) }

// newlines makes of a form's line ends those that a text has.
func newlines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// create makes a session, and gives it its first prompt. A refused form comes back with what was typed.
func (c *console) create(w http.ResponseWriter, r *http.Request, v visit) {
	if !c.form(w, r, v, largeForm) {
		return
	}
	f := newForm{Prompt: newlines(r.PostForm.Get("prompt")), Model: strings.TrimSpace(r.PostForm.Get("model")), Tools: r.PostForm.Get("tools")}
	s, err := c.begin(r, v, f)
	if err == nil {
		how := "sent"
		if strings.TrimSpace(f.Prompt) == "" {
			how = "made"
		}
		c.done(w, r, s, how)
		return
	}
	code := fault.CodeOf(err)
	if !wantsPage(r) || code != fault.Invalid && code != fault.NotFound && code != fault.Unauthenticated || len(f.Prompt) > control.MaxContent {
		c.fail(w, r, v, err)
		return
	}
	view, lerr := c.listing(r, v)
	if lerr != nil {
		c.fail(w, r, v, lerr)
		return
	}
	f.Models, f.Problem = view.Form.Models, sentence(err.Error())
	view.Form = f
	c.show(w, r, troubles[code].status, "index", view)
}

func (c *console) begin(r *http.Request, v visit, f newForm) (id.Session, error) {
	req := control.CreateSession{Profile: run.Profile{Model: f.Model}}
	known, err := models(r.Context(), v.plane)
	if err != nil {
		return "", err
	}
	for _, m := range known {
		if f.Model == m.Provider+"/"+m.ID {
			req.Profile.Model, req.Provider = m.ID, m.Provider
		}
	}
	yes, no := true, false
	switch f.Tools {
	case "none":
		req.Builtins, req.Shell = &no, &no
	case "files":
		req.Builtins, req.Shell = &yes, &no
	case "shell":
		req.Builtins, req.Shell = &yes, &yes
	case "":
	default:
		return "", &control.Error{Code: fault.Invalid, Message: "there is no such choice of tools"}
	}
	made, err := v.plane.CreateSession(r.Context(), req)
	if err != nil || strings.TrimSpace(f.Prompt) == "" {
		return made.ID, err
	}
	in := c.spoken.name(made.ID, f.Prompt)
	_, err = v.plane.Submit(r.Context(), control.Submit{Session: made.ID, Input: in, Content: transcript.TextBlocks(f.Prompt)})
	return made.ID, err
}

// submit gives a session an input. The form's nonce and what it says make its key: sent twice it is one input, and changed it is another.
func (c *console) submit(w http.ResponseWriter, r *http.Request, v visit) {
	if !c.form(w, r, v, largeForm) {
		return
	}
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	if now := describe(s); now.Closed {
		c.fail(w, r, v, &control.Error{Code: fault.NotReady, Message: "the session is " + now.Word + " and takes no input any more"})
		return
	}
	text, lane := newlines(r.PostForm.Get("text")), r.PostForm.Get("lane")
	req := control.Submit{Session: s.ID, Input: c.spoken.name(s.ID, text), Lane: lane, Content: transcript.TextBlocks(text)}
	if r.PostForm.Get("continue") != "" {
		req.Continue, req.Content, req.Lane, text = true, nil, "", ""
	}
	if n := r.PostForm.Get("nonce"); n != "" {
		sum := sha256.Sum256([]byte(n + "\x00" + lane + "\x00" + text))
		req.Key = "console-" + hex.EncodeToString(sum[:16])
	}
	got, err := v.plane.Submit(r.Context(), req)
	switch {
	case err == nil:
	case wantsPage(r) && fault.CodeOf(err) == fault.Invalid && len(text) <= control.MaxContent:
		c.sessionPage(w, r, v, http.StatusBadRequest, text, sentence(err.Error()))
		return
	default:
		c.fail(w, r, v, err)
		return
	}
	how := "sent"
	if got.Duplicate {
		how = "again"
	}
	c.done(w, r, s.ID, how)
}

// stop ends the run that the visitor saw: one that began since is another.
func (c *console) stop(w http.ResponseWriter, r *http.Request, v visit, said string, end func(s id.Session, bound id.Run) error) {
	if !c.form(w, r, v, smallForm) {
		return
	}
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	bound := id.Run(r.PostForm.Get("run"))
	if bound == "" {
		c.fail(w, r, v, &control.Error{Code: fault.NotRunning, Message: "there was no run when the page was made"})
		return
	}
	err = end(s.ID, bound)
	if fault.CodeOf(err) == fault.NotRunning && err != nil {
		err, said = nil, "over"
	}
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	c.done(w, r, s.ID, said)
}

func (c *console) interrupt(w http.ResponseWriter, r *http.Request, v visit) {
	c.stop(w, r, v, "interrupted", func(s id.Session, bound id.Run) error { return v.plane.Interrupt(r.Context(), s, bound) })
}

func (c *console) cancel(w http.ResponseWriter, r *http.Request, v visit) {
	c.stop(w, r, v, "stopping", func(s id.Session, bound id.Run) error { return v.plane.CancelAfterBoundary(r.Context(), s, bound) })
}

type archiveView struct {
	layout
	S     control.Session
	State stateView
}

// archivePage asks whether it is meant.
func (c *console) archivePage(w http.ResponseWriter, r *http.Request, v visit) {
	s, err := c.locate(r, v)
	if err == nil && !v.may(control.Writer) {
		err = &control.Error{Code: fault.Forbidden, Message: "this key may look, and not change anything"}
	}
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	c.show(w, r, http.StatusOK, "archive", archiveView{layout: c.layout(v, "Archive a session"), S: s, State: describe(s)})
}

func (c *console) archive(w http.ResponseWriter, r *http.Request, v visit) {
	if !c.form(w, r, v, smallForm) {
		return
	}
	s, err := c.locate(r, v)
	if err == nil {
		err = v.plane.Archive(r.Context(), s.ID)
	}
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	c.done(w, r, s.ID, "archived")
}
