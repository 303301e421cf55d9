// Package console is a web console for the people who look after sessions: which there are, what one of them does right now, and a way to say
// something to it, interrupt it, or put it away.
//
// Pages are made on the server and work without JavaScript, for reading and for submitting; one small script adds what moves. It follows a session
// by server-sent events of its own, from the cursor the page was made at. Nothing is loaded from anywhere else, and what sessions say is shown as
// text, never as markup.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

//go:embed page/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Config says what a console stands before.
type Config struct {
	Door *control.Door
	// Secure marks cookies as for TLS alone, also where TLS ends before it comes here.
	Secure bool
	// Heartbeat is how long a stream may be silent; 0: 15 s. As often it is looked whether the reader's key is still good.
	Heartbeat time.Duration
	// Patience is how long a reader of a stream may take nothing; 0: 10 s. Then he is let go, and comes back at his cursor if he still wants to.
	Patience time.Duration
	// Forms is how long a form may take to come; 0: 30 s.
	Forms time.Duration
	// Streams bounds how many readers follow sessions at once; 0: 512. Who comes then is asked to come later.
	Streams int
	Now     func() time.Time // nil: time.Now
}

// console is the handler and what it remembers.
type console struct {
	Config
	pages   *template.Template
	assets  map[string]asset
	guests  *guests
	spoken  *spoken
	csrf    *http.CrossOriginProtection
	streams atomic.Int64
	forms   atomic.Int64 // bytes of forms that are being read
}

// asset is a file that never changes under its address.
type asset struct {
	data []byte
	kind string
}

// New makes the console. It answers at / and below /console/.
func New(cfg Config) http.Handler {
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Forms <= 0 {
		cfg.Forms = 30 * time.Second
	}
	if cfg.Streams <= 0 {
		cfg.Streams = 512
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &console{Config: cfg, guests: newGuests(cfg.Now), spoken: &spoken{}, csrf: http.NewCrossOriginProtection()}
	names := c.load()
	c.pages = template.Must(template.New("").Funcs(c.funcs(names)).ParseFS(pageFiles, "page/*.html"))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.with(c.index))
	mux.HandleFunc("GET /console/{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) })
	mux.HandleFunc("GET /console/static/{name}", c.static)
	mux.HandleFunc("GET /console/login", c.loginPage)
	mux.HandleFunc("POST /console/login", c.login)
	mux.HandleFunc("POST /console/logout", c.logout)
	mux.HandleFunc("POST /console/sessions", c.with(c.create))
	mux.HandleFunc("GET /console/sessions/{id}", c.with(c.session))
	mux.HandleFunc("GET /console/sessions/{id}/state", c.with(c.state))
	mux.HandleFunc("GET /console/sessions/{id}/events", c.with(c.follow))
	mux.HandleFunc("GET /console/sessions/{id}/log", c.with(c.log))
	mux.HandleFunc("GET /console/sessions/{id}/rows/{message}/{ordinal}", c.with(c.raw))
	mux.HandleFunc("POST /console/sessions/{id}/inputs", c.with(c.submit))
	mux.HandleFunc("POST /console/sessions/{id}/interrupt", c.with(c.interrupt))
	mux.HandleFunc("POST /console/sessions/{id}/cancel", c.with(c.cancel))
	mux.HandleFunc("GET /console/sessions/{id}/archive", c.with(c.archivePage))
	mux.HandleFunc("POST /console/sessions/{id}/archive", c.with(c.archive))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { c.fail(w, r, visit{}, errNoPage) })
	return c.guard(mux)
}

// load reads the static files and names each by its content, so that it can be kept for ever.
func (c *console) load() map[string]string {
	names := map[string]string{}
	c.assets = map[string]asset{}
	kinds := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	for _, name := range []string{"console.css", "console.js", "icon.svg"} {
		data, err := fs.ReadFile(staticFiles, "static/"+name)
		if err != nil {
			panic(err) // it is part of the program
		}
		sum := sha256.Sum256(data)
		stem, ext, _ := strings.Cut(name, ".")
		known := stem + "." + hex.EncodeToString(sum[:6]) + "." + ext
		names[name] = "/console/static/" + known
		c.assets[known] = asset{data, kinds[ext]}
	}
	return names
}

func (c *console) static(w http.ResponseWriter, r *http.Request) {
	a, ok := c.assets[r.PathValue("name")]
	if !ok {
		c.fail(w, r, visit{}, errNoPage)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.data) // a browser that has gone away needs no answer
}

// policy lets a page use what comes from here and nothing else.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// guard sets what every answer has, and turns away what other sites' pages send.
func (c *console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // not no-referrer: a form's Origin would be null then, and could not be told from a stranger's
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if err := c.csrf.Check(r); err != nil {
			c.fail(w, r, visit{}, &control.Error{Code: fault.Forbidden, Message: "the request came from a page of another site, and was not carried out"})
			return
		}
		if r.Body != nil && r.Body != http.NoBody { // a form comes soon or not at all. A writer that has no deadlines has none
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(c.Forms))
		}
		next.ServeHTTP(w, r)
	})
}

// visit is one request of somebody who may be here.
type visit struct {
	plane  *control.Plane
	caller control.Caller
	signed bool   // by a key
	token  string // the key; never shown
	cookie string
}

// may reports whether the visitor's level allows what needs one, so that a page does not offer what would be refused.
func (v visit) may(need control.Level) bool {
	return v.plane != nil && (v.caller.Level == control.Owner || v.caller.Level >= need)
}

type handler func(w http.ResponseWriter, r *http.Request, v visit)

// with lets a visitor in, by the key he signed in with if one is needed. The key is looked at for each request: one that was revoked is of no use
// from then on.
func (c *console) with(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := c.enter(r)
		if fault.CodeOf(err) == fault.Unidentified && err != nil {
			c.turnAway(w, r)
			return
		}
		if err != nil {
			c.fail(w, r, visit{}, err)
			return
		}
		next(w, r, v)
	}
}

func (c *console) enter(r *http.Request) (visit, error) {
	v := visit{}
	if k, err := r.Cookie(c.cookieName(r)); err == nil {
		v.cookie = k.Value
		v.token, v.signed = c.guests.token(k.Value)
	}
	p, err := c.Door.Enter(r.Context(), v.token)
	if err != nil {
		if fault.CodeOf(err) == fault.Unidentified && v.signed {
			c.guests.forget(v.cookie)
		}
		return visit{}, err
	}
	v.plane, v.caller = p, p.Caller()
	if v.caller.Key == "" {
		v.signed, v.token = false, ""
		if !local(r.Host) {
			return visit{}, errForeignName
		}
	}
	return v, nil
}

// local reports whether a server was asked for by an address or as localhost. Any other name could be a stranger's that leads here, whose pages the
// browser would take for ours.
func local(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
}
