package console

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
)

// tab is a page in a real browser.
type tab struct {
	*testing.T
	ctx   context.Context
	at    string
	heard chan string // what the browser complained of
}

// chromium starts a browser of its own, which ends with the test and leaves nothing behind.
func chromium(t *testing.T, w *world) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if path, err = exec.LookPath("google-chrome"); err != nil {
			if os.Getenv("RKAT_CI") != "" {
				t.Fatal("there is no chromium, and RKAT_CI is set: apt-get install chromium")
			}
			t.Skip("there is no chromium")
		}
	}
	dir, err := os.MkdirTemp("", "console-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	opts := append([]chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.NoSandbox,
		chromedp.Headless, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Env("HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)}, chromedp.WindowSize(1280, 860))
	for _, f := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-default-apps",
		"disable-dev-shm-usage", "no-proxy-server", "hide-scrollbars", "disable-extensions", "disable-breakpad", "no-pings"} {
		opts = append(opts, chromedp.Flag(f, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ := chromedp.NewContext(alloc)
	b := &tab{T: t, ctx: ctx, at: w.url, heard: make(chan string, 1000)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end the browser: %v", err)
		}
		stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("begin a browser: %v", err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen keeps what the browser complains of.
func (b *tab) listen(e any) {
	s := ""
	switch e := e.(type) {
	case *cdruntime.EventExceptionThrown:
		s = fmt.Sprintf("exception: %+v", *e.ExceptionDetails)
	case *log.EventEntryAdded:
		s = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	}
	if s != "" {
		select {
		case b.heard <- s:
		default: // a thousand complaints are enough
		}
	}
}

func (b *tab) problems() []string {
	var out []string
	for {
		select {
		case s := <-b.heard:
			out = append(out, s)
		default:
			return out
		}
	}
}

func (b *tab) run(as ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, as...); err != nil {
		b.lost(err)
	}
}

// lost fails with what the page shows.
func (b *tab) lost(err error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, terr := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	b.Fatalf("%v\nthe page: %v\n%s\nthe browser: %q", err, terr, text, b.problems())
}

// script runs JavaScript in the page.
func (b *tab) script(expr string) {
	b.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](expr))
}

func (b *tab) focus(id string) {
	b.Helper()
	b.script(fmt.Sprintf("document.getElementById(%q).focus()", id))
}

// open goes to a page.
func (b *tab) open(path string) {
	b.Helper()
	b.run(chromedp.Navigate(b.at + path))
}

// until waits for an expression of JavaScript to hold.
func (b *tab) until(expr string, args ...any) {
	b.Helper()
	expr = fmt.Sprintf(expr, args...)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expr+")"))
		if ok && err == nil {
			return
		}
		select {
		case <-again.C: // an error too: the page may be on its way to another
		case <-ctx.Done():
			b.lost(fmt.Errorf("never so: %s: %w", expr, err))
		}
	}
}

// sees waits for a text in a part of the page.
func (b *tab) sees(selector, text string) {
	b.Helper()
	b.until("document.querySelector(%q)?.innerText.includes(%q)", selector, text)
}

func (b *tab) eval(expr string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expr+")"))
	if err != nil {
		b.lost(err)
	}
	return s
}

// clean fails if the browser complained of anything but those.
func (b *tab) clean(but ...string) {
	b.Helper()
next:
	for _, p := range b.problems() {
		for _, x := range but {
			if strings.Contains(p, x) {
				continue next
			}
		}
		b.Errorf("the browser complains: %s", p)
	}
	if got := b.eval("window.broken"); got != "undefined" {
		b.Error("a script of somebody else ran")
	}
}

// shot keeps a picture of the page if somebody wants to look at it: RKAT_SHOTS names the folder.
func (b *tab) shot(name string) {
	b.Helper()
	dir := os.Getenv("RKAT_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *tab) scheme(name string) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
	if err != nil {
		b.Fatal(err)
	}
}

// keys presses keys, one after the other, on whatever has the focus.
func (b *tab) keys(s string) {
	b.Helper()
	b.run(chromedp.KeyEvent(s))
}

func (b *tab) send() {
	b.Helper()
	b.run(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(kb.ModifierCtrl)))
}

// tabTo presses Tab until the element has the focus.
func (b *tab) tabTo(id string) {
	b.Helper()
	for range 60 {
		if b.eval("document.activeElement?.id") == id {
			return
		}
		b.keys(kb.Tab)
	}
	b.Fatalf("Tab does not lead to #%s", id)
}

func (b *tab) count(selector, text string) int {
	b.Helper()
	n, err := strconv.Atoi(b.eval(fmt.Sprintf("[...document.querySelectorAll(%q)].filter(e => e.textContent.includes(%q)).length", selector, text)))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func TestA_session_is_led_by_the_keyboard_alone_in_a_real_browser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := chromium(t, w)
	b.open("/")
	b.sees("#list", "There are no sessions yet")
	b.tabTo("prompt")
	b.keys("slow: tell me of the sea")
	b.send()
	b.sees("#status", "running")
	b.sees("#wire", "Live")
	w.piece("The sea ")
	b.sees("#live", "The sea")
	w.piece("is wide")
	b.sees("#live", "The sea is wide")
	b.tabTo("text")
	b.keys("then say goodbye")
	b.send()
	b.sees("#inputs", "then say goodbye")
	b.sees("#inputs", "queued")
	b.until("document.querySelector('#text').value === ''")
	w.piece(".")
	w.piece("")
	b.sees("#transcript", "The sea is wide.")
	b.sees("#transcript", "You said: then say goodbye")
	b.sees("#status", "idle")
	b.until("document.querySelector('#live').hidden")
	b.until("document.querySelectorAll('#inputs .state.good').length === 2")

	b.keys("wait for the build")
	b.send()
	b.sees("#detail", "tool call")
	b.until("document.querySelector('#text').value === ''")
	b.script("document.querySelector('input[value=queue]').focus()")
	b.keys(kb.ArrowRight)
	b.until("document.querySelector('input[value=steer]').checked")
	b.tabTo("text")
	b.keys("mind the tests")
	b.send()
	b.sees("#inputs", "mind the tests")
	w.work <- struct{}{}
	b.sees("#transcript", "mind the tests")
	b.until("document.querySelector('#transcript .call .result').textContent.includes('built in 3 minutes')")
	b.sees("#status", "idle")
	b.clean()

	b.tabTo("text")
	b.keys("slow: never ends")
	b.send()
	b.until("!document.querySelector('#interrupt').disabled")
	w.piece("and so on")
	b.sees("#live", "and so on")
	b.focus("interrupt")
	b.keys(kb.Enter)
	b.sees("#said", "interrupted")
	b.until("document.querySelector('#interrupt').disabled && document.activeElement.id === 'text'")
	b.sees("#inputs", "abandoned")
	b.clean()
}

func TestNothing_is_lost_or_doubled_by_a_reload_and_a_new_process(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := chromium(t, w)
	s := w.create("")
	w.talk(s, "before")
	b.open("/console/sessions/" + string(s))
	b.sees("#wire", "Live")
	w.say(s, "slow one")
	w.piece("first half, ")
	b.sees("#live", "first half")
	b.focus("text")
	b.keys("half typed")
	b.run(chromedp.Reload())
	b.sees("#wire", "Live")
	b.until("document.querySelector('#text').value === 'half typed'")
	w.piece("second half")
	b.sees("#live", "second half")
	b.sees("#live", "its beginning may be missing until it is whole")
	w.piece("")
	b.sees("#transcript", "first half, second half")
	b.sees("#status", "idle")
	for text, n := range map[string]int{"first half, second half": 1, "You said: before": 1, "slow one": 1} {
		if got := b.count("#transcript .row", text); got != n {
			t.Errorf("%q stands there %d times", text, got)
		}
	}
	b.clean()

	addr := strings.TrimPrefix(w.url, "http://")
	w.down()
	b.sees("#wire", "Connection lost")
	if b.eval("document.querySelector('#wire').className") != "wire script lost" {
		t.Error("a lost connection is told by its words alone")
	}
	b.focus("text")
	b.send()
	b.sees("#problem", "cannot be reached")
	w.begin(addr)
	w.talk(s, "said meanwhile")
	b.sees("#wire", "Live")
	b.sees("#transcript", "You said: said meanwhile")
	b.focus("text")
	b.send()
	b.sees("#transcript", "You said: half typed")
	b.until("document.querySelector('#text').value === ''")
	for _, text := range []string{"You said: said meanwhile", "You said: half typed", "first half, second half"} {
		if got := b.count("#transcript .row", text); got != 1 {
			t.Errorf("%q stands there %d times", text, got)
		}
	}
	if got := b.eval("new Set([...document.querySelectorAll('#log li')].map(e => e.id)).size === document.querySelectorAll('#log li').length"); got != "true" {
		t.Error("an event stands in the log twice")
	}
	orders := b.eval("JSON.stringify([...document.querySelectorAll('#transcript > *')].map(e => +e.dataset.order)) === JSON.stringify([...document.querySelectorAll('#transcript > *')].map(e => +e.dataset.order).sort((a, b) => a - b))")
	if orders != "true" {
		t.Error("the transcript is out of order")
	}
	b.clean("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
}

func TestScripts_of_others_do_not_run_and_nothing_comes_from_elsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := chromium(t, w)
	s := w.create("", func(c *control.CreateSession) {
		c.System = nasty
		c.Profile.Labels = map[string]string{"<b>": nasty[:40]}
	})
	b.open("/console/sessions/" + string(s))
	b.sees("#wire", "Live")
	w.talk(s, nasty+" look")
	b.sees("#transcript", "The other file is not there")
	b.script("for (const d of document.querySelectorAll('details')) d.open = true")
	b.sees("#transcript", "window.broken=1")
	b.clean()
	b.run(chromedp.Reload())
	b.sees("#transcript", "The other file is not there")
	b.open("/")
	b.sees("#list", "window.broken")
	b.clean()
	if got := b.eval("performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))"); got != "true" {
		t.Error("something was loaded from elsewhere")
	}
}

func TestThe_page_follows_its_end_only_while_the_reader_is_there(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := chromium(t, w)
	s := w.create("")
	for n := range 12 {
		w.talk(s, fmt.Sprintf("line %d\n\n\n\n\nend", n))
	}
	b.open("/console/sessions/" + string(s))
	b.sees("#wire", "Live")
	end := "innerHeight + scrollY >= document.documentElement.scrollHeight - 60"
	b.until(end)
	w.talk(s, "more\n\n\n\nof it")
	b.sees("#transcript", "You said: more")
	b.until(end)
	b.script("scrollTo(0, 0)")
	b.until("scrollY === 0")
	w.talk(s, "and more")
	b.sees("#transcript", "You said: and more")
	b.until("scrollY === 0 && !document.querySelector('#jump').hidden")
	b.shot("jump")
	b.run(chromedp.Click("#jump"))
	b.until(end)
	b.clean()
}

func TestA_browser_without_javascript_reads_and_submits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := chromium(t, w)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.open("/")
	b.focus("prompt")
	b.keys("hello there" + kb.Tab + kb.Tab + kb.Tab + kb.Enter)
	b.sees("#said", "Sent.")
	b.until("!document.documentElement.classList.contains('js') && document.querySelector('#wire').offsetHeight === 0")
	list, err := w.plane.Sessions(t.Context(), control.ListSessions{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
	w.talk(list[0].ID, "wait no more, just fail")
	b.open("/console/sessions/" + string(list[0].ID))
	b.sees("#transcript", "You said: hello there")
	b.shot("no-script")
	b.focus("text")
	b.keys("and once more" + kb.Tab + kb.Tab + kb.Tab + kb.Enter)
	b.until("location.search === '?said=sent'")
	w.talk(list[0].ID, "end")
	b.run(chromedp.Reload())
	b.sees("#transcript", "You said: and once more")
	b.clean()
}

func TestA_phone_shows_all_without_moving_sideways(t *testing.T) {
	t.Parallel()
	k := someKeys()
	w := newWorld(t, k)
	b := chromium(t, w)
	s := w.create("", func(c *control.CreateSession) { c.Profile.Labels = map[string]string{"team": "kitchen"} })
	w.talk(s, "look at "+strings.Repeat("averylongwordwithoutspaces", 12))
	w.say(s, "slow "+id.New())
	b.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile))
	fits := "document.documentElement.scrollWidth <= 360"
	b.open("/console/sessions/" + string(s))
	b.sees("h1", "Sign in")
	b.until(fits)
	b.shot("phone-login")
	b.focus("key")
	b.keys("writes\r")
	b.sees("#wire", "Live")
	b.sees("#transcript", "The other file")
	b.until(fits)
	b.shot("phone-session")
	b.script("scrollTo(0,0)")
	b.shot("phone-session-top")
	b.open("/")
	b.sees("#list", "look at")
	b.until(fits)
	b.shot("phone-list")
	b.scheme("dark")
	b.shot("phone-list-dark")
	small := b.eval("[...document.querySelectorAll('button, .button, input, select')].filter(e => e.offsetHeight && e.type !== 'checkbox' && e.offsetHeight < 32).map(e => e.outerHTML).join()")
	if small != "" {
		t.Errorf("too small for a finger: %s", small)
	}
	k.revoke("writes")
	b.open("/console/sessions/" + string(s))
	b.sees("h1", "Sign in")
	w.piece("")
	b.clean()
}

func TestThe_pages_are_there_to_be_looked_at(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := chromium(t, w)
	for n := range 14 {
		s := w.create("", func(c *control.CreateSession) {
			if n%3 == 0 {
				c.Profile.Labels = map[string]string{"team": "kitchen", "ticket": fmt.Sprint(100 + n)}
			}
		})
		w.talk(s, []string{"Sort the invoices of October by customer and total", "Why does the build fail on arm64?", "look around", "Rename the package, please, and run its tests until they pass"}[n%4])
	}
	s := w.create("")
	w.talk(s, "look at the module and say what it is called")
	w.say(s, "wait for the build")
	w.say(s, "afterwards: tell me how long it took")
	b.open("/console/sessions/" + string(s))
	b.sees("#detail", "tool call")
	b.sees("#wire", "Live")
	b.until("document.querySelector('.call .result')")
	b.script("scrollTo(0,0); document.querySelector('#log-panel').open = true; document.querySelector('.call').open = true")
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.shot("running-" + scheme)
	}
	b.scheme("light")
	b.open("/")
	b.sees("#list", "running")
	b.shot("list-light")
	b.scheme("dark")
	b.shot("list-dark")
	w.work <- struct{}{}
	b.scheme("light")
	b.open("/console/sessions/" + string(s))
	b.sees("#status", "idle")
	b.focus("text")
	b.shot("finished-light")
	b.open("/console/sessions/" + string(s) + "/archive")
	b.shot("archive")
	b.open("/console/sessions/" + id.New())
	b.sees("h1", "Not found")
	b.shot("error")
	b.open("/console/sessions/" + string(s) + "/log")
	b.shot("log")
	b.clean("404 (Not Found)")
}
