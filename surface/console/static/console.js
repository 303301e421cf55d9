// What moves on the pages of the console. Without it they can be read, and forms can be sent.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  document.documentElement.classList.add("js");

  // Times say how long ago they are.
  const ago = (t) => {
    const s = (Date.now() - t) / 1000;
    if (s < 10) return "just now";
    if (s < 60) return `${Math.floor(s)} s ago`;
    if (s < 3600) return `${Math.floor(s / 60)} min ago`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
    if (s < 14 * 86400) return `${Math.floor(s / 86400)} d ago`;
    return new Date(t).toISOString().slice(0, 10);
  };
  setInterval(() => {
    for (const t of document.querySelectorAll("time[data-ago]")) {
      const now = ago(Date.parse(t.dateTime));
      if (t.textContent !== now) t.textContent = now;
    }
  }, 10000);

  // Ctrl or Cmd with Enter sends what is typed.
  document.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && e.target.matches("[data-send]") && !e.isComposing) {
      e.preventDefault();
      e.target.form.requestSubmit(e.target.form.querySelector("button.main"));
    }
  });
  // A form that makes something is sent once.
  for (const f of document.querySelectorAll("form[data-once]")) {
    f.addEventListener("submit", (e) => {
      if (f.dataset.sent) { e.preventDefault(); return; }
      f.dataset.sent = "1";
    });
  }
  addEventListener("pageshow", () => { for (const f of document.querySelectorAll("form[data-once]")) delete f.dataset.sent; });

  // The list of sessions is looked at again while somebody looks at it.
  const list = document.querySelector("[data-refresh]");
  if (list) {
    const again = async () => {
      if (document.hidden) return;
      try {
        const a = await fetch(location.href.split("#")[0], { headers: { Accept: "text/html" } });
        if (!a.ok || a.redirected) return;
        const page = new DOMParser().parseFromString(await a.text(), "text/html");
        const fresh = page.querySelector("[data-refresh]");
        if (!fresh || fresh.innerHTML === list.innerHTML) return;
        const at = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        list.replaceChildren(...fresh.childNodes);
        if (at) list.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
      } catch { /* the server is away; it is asked again */ }
    };
    setInterval(again, 4000);
    document.addEventListener("visibilitychange", again);
  }

  const main = document.querySelector("main[data-session]");
  if (!main) return;
  const base = `/console/sessions/${main.dataset.session}`;
  const narrow = matchMedia("(max-width: 60rem)");
  if (narrow.matches) $("inputs-panel").open = false;

  // What is typed outlives the page.
  const text = $("text"), draft = `draft:${main.dataset.session}`;
  const keep = (s) => { try { if (s) sessionStorage.setItem(draft, s); else sessionStorage.removeItem(draft); } catch { /* it is kept on the page alone */ } };
  if (text) {
    try { if (!text.value) text.value = sessionStorage.getItem(draft) ?? ""; } catch { /* there is none */ }
    text.addEventListener("input", () => keep(text.value));
  }

  const say = (s) => { const p = $("said"); p.textContent = s; p.hidden = !s; };
  const complain = (s) => { const p = $("problem"); if (p) { p.textContent = s; p.hidden = !s; } else say(s); };

  // send gives a form to the server and says what it answered. false: it could not be reached, or refused.
  const send = async (form, button) => {
    const body = new URLSearchParams(new FormData(form));
    if (button?.name) body.set(button.name, button.value);
    try {
      const a = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      const said = await a.json();
      if (!a.ok) { complain([said.error, said.todo].filter(Boolean).join(" ")); return null; }
      complain("");
      say(said.said);
      return said;
    } catch {
      complain("The server cannot be reached. What you typed is still here; sending it again does no harm.");
      return null;
    }
  };
  const submit = $("submit");
  let sending = false;
  submit?.addEventListener("submit", async (e) => {
    e.preventDefault();
    const goOn = e.submitter?.name === "continue";
    if (sending || (!goOn && !text.value.trim())) { text.focus(); return; }
    sending = true;
    $("send").setAttribute("aria-busy", "true");
    const sent = text.value;
    const said = await send(submit, e.submitter);
    sending = false;
    $("send").removeAttribute("aria-busy");
    if (!said) return;
    submit.elements.nonce.value = said.nonce;
    if (!goOn && text.value === sent) { text.value = ""; keep(""); }
    follow = true;
    bottom();
  });
  for (const f of document.querySelectorAll("form[data-act]")) {
    f.addEventListener("submit", (e) => { e.preventDefault(); send(f, e.submitter); });
  }

  if (!main.dataset.after) return;

  // The page follows its end while the reader is there.
  const jump = $("jump");
  const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
  let follow = true;
  const bottom = () => { if (follow) scrollTo(0, document.documentElement.scrollHeight); if (jump) jump.hidden = follow; };
  addEventListener("scroll", () => { if (jump && atEnd()) jump.hidden = true; }, { passive: true });
  jump?.addEventListener("click", () => { follow = true; bottom(); text?.focus({ preventScroll: true }); });
  if (!location.hash) bottom();

  // put sets a piece of the page in its place. One that is there already stays, unless it is told anew: so nothing comes twice.
  const put = (p) => {
    const into = $(p.in), old = $(p.key);
    if (old && !p.fresh) return;
    const t = document.createElement("template");
    t.innerHTML = p.html;
    const el = t.content.firstElementChild;
    if (!into || !el) return;
    if (old) { old.replaceWith(el); return; }
    const order = Number(p.order), latestFirst = into.hasAttribute("reversed");
    if (latestFirst) {
      let next = into.firstElementChild;
      while (next && Number(next.dataset.order) > order) next = next.nextElementSibling;
      into.insertBefore(el, next);
    } else {
      let before = into.lastElementChild;
      while (before && Number(before.dataset.order) > order) before = before.previousElementSibling;
      if (before) before.after(el); else into.prepend(el);
    }
  };
  // prune keeps a page that stays open from growing without end. What goes can be had again: earlier messages, all events.
  const prune = () => {
    const rows = $("transcript"), log = $("log"), ins = $("inputs");
    while (log.childElementCount > 300) log.lastElementChild.remove();
    while (ins.childElementCount > 60) ins.lastElementChild.remove();
    if (!follow || rows.childElementCount <= 600) return;
    while (rows.childElementCount > 400) rows.firstElementChild.remove();
    const first = Number(rows.firstElementChild.dataset.message);
    $("earlier").hidden = false;
    $("earlier").querySelector("a").href = `${base}?before=${first}`;
  };
  // settle says of each call what became of it, and puts its result into it.
  let busy = false;
  const settle = () => {
    for (const c of document.querySelectorAll("details[data-call]:not([data-settled])")) {
      const w = c.querySelector("[data-word]");
      const r = $("transcript").querySelector(`[data-for="${CSS.escape(c.dataset.call)}"]`);
      if (r) {
        w.textContent = r.dataset.word;
        w.classList.add(r.querySelector(".word.bad") ? "bad" : "good");
        c.dataset.settled = "1";
        r.querySelector("details").open = true;
        c.append(r);
      } else {
        w.textContent = busy ? "at work" : "no result";
      }
    }
  };

  // The reply as it comes.
  const live = { box: $("live"), text: $("live-text"), thought: $("live-thought"), reasoning: $("live-reasoning"), middle: $("live-middle") };
  const quiet = () => {
    live.box.hidden = live.reasoning.hidden = live.middle.hidden = true;
    live.text.textContent = live.thought.textContent = "";
  };
  const stream = (d) => {
    if (d.kind === "void") { quiet(); return; }
    if (live.box.hidden && d.middle) live.middle.hidden = false;
    live.box.hidden = false;
    if (d.kind === "reasoning") { live.reasoning.hidden = false; live.thought.append(d.text); } else { live.text.append(d.text); }
  };

  const set = (id, s) => { const el = $(id); if (el && el.textContent !== s) el.textContent = s; };
  const enable = (id, on) => {
    const b = $(id);
    if (!b || b.disabled === !on) return;
    if (!on && document.activeElement === b) text?.focus({ preventScroll: true });
    b.disabled = !on;
  };
  const show = (s) => {
    busy = s.busy;
    const st = $("status").firstElementChild;
    st.className = `status ${s.tone}`;
    const w = st.querySelector(".word");
    if (w.textContent !== s.word) w.textContent = s.word;
    set("detail", s.detail);
    set("messages", String(s.messages));
    set("tokens", s.tokens);
    for (const r of document.querySelectorAll("form[data-act] input[name=run]")) r.value = s.run ?? "";
    enable("interrupt", s.busy);
    enable("cancel", s.busy && !s.stopping);
    enable("send", !s.closed);
    if (text) text.disabled = s.closed;
    const go = $("continue");
    if (go) go.hidden = !s.pending;
    if (!s.busy) quiet();
    settle();
  };

  // The stream: the browser comes back by itself at the last place it was told; where it gives up, we come back for it.
  const wire = $("wire");
  let source = null, at = main.dataset.after, tries = 0, timer = 0;
  const told = (s, lost) => { if (wire.textContent !== s) wire.textContent = s; wire.classList.toggle("lost", lost); };
  const later = () => { clearTimeout(timer); timer = setTimeout(connect, Math.min(15000, 500 * 2 ** tries++) * (0.75 + Math.random() / 2)); };
  const why = async () => { // the stream was refused: is there anything to come back to?
    try {
      const a = await fetch(`${base}/state`, { headers: { Accept: "application/json" } });
      if (a.status === 401) { told("Signed out", true); complain("You are signed out, or your key was revoked. Reload the page to sign in."); return; }
      if (a.status === 404 || a.status === 403) { told("Not there any more", true); return; }
    } catch { /* not reachable */ }
    later();
  };
  const on = (name, f) => source.addEventListener(name, (e) => {
    if (e.lastEventId) at = e.lastEventId;
    follow = atEnd();
    f(JSON.parse(e.data));
    bottom();
  });
  function connect() {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(`${base}/events?after=${encodeURIComponent(at)}`);
    source.onerror = () => {
      told("Connection lost. Trying again…", true);
      quiet();
      if (source.readyState === EventSource.CLOSED) { source.close(); why(); }
    };
    on("state", (s) => { tries = 0; told("Live", false); show(s); prune(); });
    on("delta", stream);
    on("part", (p) => { if (p.in === "transcript" && !$(p.key)) quiet(); put(p); });
    on("failure", (f) => { $("failure").textContent = f.text; $("failure").hidden = !f.text; });
    on("notice", (n) => complain(n.text));
    on("reload", () => location.reload());
  }
  told("Connecting…", false);
  connect();
  settle();

  // A browser has few connections for one server: a page that nobody looks at gives its one back after a while.
  let away = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(away);
    if (document.hidden) away = setTimeout(() => { source?.close(); source = null; clearTimeout(timer); told("Paused", false); }, 30000);
    else if (!source) connect();
  });
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
})();
