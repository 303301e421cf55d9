package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/fault"
)

// How long somebody stays signed in, how many may be at once, and how many of them with one key. Who is one too many puts out who signed in first.
const (
	stay       = 12 * time.Hour
	maxGuests  = 4096
	maxPerKey  = 64
	cookieStem = "rkat_console"
)

// guests are who has signed in. A cookie is a random name for an entry here; the key itself never goes back to the browser, and both are lost with the
// process.
type guests struct {
	now func() time.Time
	mu  sync.Mutex
	in  map[[32]byte]guest // by the hash of the cookie, so that looking one up tells nothing by its time
}

type guest struct {
	token string
	until time.Time
}

func newGuests(now func() time.Time) *guests { return &guests{now: now, in: map[[32]byte]guest{}} }

// add signs somebody in and returns his cookie.
func (g *guests) add(token string) string {
	name := rand.Text() + rand.Text()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for k, x := range g.in {
		if !x.until.After(now) {
			delete(g.in, k)
		}
	}
	g.makeRoom(maxPerKey, func(x guest) bool { return x.token == token })
	g.makeRoom(maxGuests, func(guest) bool { return true })
	g.in[sha256.Sum256([]byte(name))] = guest{token, now.Add(stay)}
	return name
}

// makeRoom puts out the first of those counted if there are as many as may be.
func (g *guests) makeRoom(most int, counts func(guest) bool) {
	var first [32]byte
	n, until := 0, time.Time{}
	for k, x := range g.in {
		if !counts(x) {
			continue
		}
		if n++; n == 1 || x.until.Before(until) {
			first, until = k, x.until
		}
	}
	if n >= most {
		delete(g.in, first)
	}
}

// token returns the key somebody signed in with.
func (g *guests) token(cookie string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x, ok := g.in[sha256.Sum256([]byte(cookie))]
	if !ok || !x.until.After(g.now()) {
		return "", false
	}
	return x.token, true
}

func (g *guests) forget(cookie string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.in, sha256.Sum256([]byte(cookie)))
}

// cookieName has the port in it: browsers share cookies between the ports of a host, and two servers there are two servers.
func (c *console) cookieName(r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil && strings.Trim(port, "0123456789") == "" {
		return cookieStem + "_" + port
	}
	return cookieStem
}

func (c *console) setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(r), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: c.Secure || r.TLS != nil})
}

// turnAway asks who comes without a good key to sign in.
func (c *console) turnAway(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !wantsPage(r) {
		c.fail(w, r, visit{}, errSignIn)
		return
	}
	to := "/console/login"
	if r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// ours returns a path of this console to go on to, and / for anything else.
func ours(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/console/sessions/") || strings.ContainsAny(next, "\\\r\n") ||
		strings.HasPrefix(next, "//") {
		return "/"
	}
	return u.RequestURI()
}

type loginView struct {
	layout
	Next    string
	Problem string
}

func (c *console) loginPage(w http.ResponseWriter, r *http.Request) {
	if _, err := c.enter(r); err == nil {
		http.Redirect(w, r, ours(r.FormValue("next")), http.StatusSeeOther)
		return
	} else if fault.CodeOf(err) != fault.Unidentified {
		c.fail(w, r, visit{}, err)
		return
	}
	c.show(w, r, http.StatusOK, "login", loginView{layout: layout{Title: "Sign in"}, Next: ours(r.FormValue("next"))})
}

func (c *console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, smallForm)
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, visit{}, formError(err))
		return
	}
	next, key := ours(r.PostForm.Get("next")), strings.TrimSpace(r.PostForm.Get("key"))
	p, err := c.Door.Enter(r.Context(), key)
	if err != nil && fault.CodeOf(err) != fault.Unidentified {
		c.fail(w, r, visit{}, err)
		return
	}
	if err != nil {
		problem := "This key is not known here, or was revoked."
		if key == "" {
			problem = "Type or paste a key first."
		}
		c.show(w, r, http.StatusUnauthorized, "login", loginView{layout: layout{Title: "Sign in"}, Next: next, Problem: problem})
		return
	}
	if p.Caller().Key != "" {
		if old, err := r.Cookie(c.cookieName(r)); err == nil {
			c.guests.forget(old.Value)
		}
		c.setCookie(w, r, c.guests.add(key), int(stay/time.Second))
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *console) logout(w http.ResponseWriter, r *http.Request) {
	if k, err := r.Cookie(c.cookieName(r)); err == nil {
		c.guests.forget(k.Value)
	}
	c.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/console/login", http.StatusSeeOther)
}
