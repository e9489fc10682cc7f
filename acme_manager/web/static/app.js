// What pages gain from a script; each of them works without it.
//
// Live: the server says what kind of thing has changed, the page is fetched anew, and its parts marked `data-live` take
// the place of the old ones. So there is one way to draw a thing, and it is the server's.
"use strict";

(() => {
  const PAUSE = 700; // ms between two looks, so that a hundred changes are one
  const POLL = 15000; // ms, where the event stream does not come through
  const LOST = 3000; // ms without an event stream: then it is worth a look whether the server is there
  const PATIENCE = 20000; // ms for a page
  const TYPING = 250; // ms without a key: then what was typed counts

  // --- instants in the reader's zone, with the exact one on hover -------------------------------------------------

  const wide = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

  function localize(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.getAttribute("datetime"));
      if (Number.isNaN(at.getTime())) continue;
      element.title = `${exact.format(at)}\n${at.toISOString().replace(".000Z", "Z")}`;
      if (!("relative" in element.dataset)) element.textContent = wide.format(at);
    }
  }

  // --- small things -------------------------------------------------------------------------------------------------

  function equip(root) {
    localize(root);
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
    for (const box of root.querySelectorAll("[data-all]")) box.hidden = false;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // `<input type="checkbox" data-all="name">` stands for all boxes of that name in its form.
  document.addEventListener("change", (event) => {
    const name = event.target.dataset.all;
    if (!name) return;
    for (const box of event.target.form.querySelectorAll(`input[name="${name}"]`)) box.checked = event.target.checked;
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    }
    if (event.key === "/" && !event.target.closest("input, textarea, select")) {
      const search = document.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });

  // A form is sent once, however often somebody clicks; but a file may be wanted again (`data-again`).
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || "again" in event.target.dataset) return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // What was done is said once, and what was sent is not sent again, when the page is loaded anew.
  function settle() {
    const instead = document.querySelector("[data-instead]");
    const address = new URL(instead?.dataset.instead || location.href, location.href);
    if (!instead && !address.searchParams.has("said")) return;
    address.searchParams.delete("said");
    history.replaceState(null, "", address);
  }

  function equipTheme() {
    const button = document.querySelector("[data-theme-button]");
    if (!button) return;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
    const show = () => { button.textContent = dark() ? "☀" : "☾"; };
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      const theme = dark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      document.cookie = `acme_manager_theme=${theme}; max-age=31536000; samesite=lax`;
      show();
    });
  }

  // The menu is open in the page, for those without a script; on a phone it would push the content away.
  function equipMenu() {
    const box = document.getElementById("nav-box");
    if (!box) return;
    const narrow = matchMedia("(max-width: 59.99rem)");
    const heed = () => { box.open = !narrow.matches; };
    heed();
    narrow.addEventListener("change", heed);
  }

  // --- pages that follow what happens ---------------------------------------------------------------------------------

  let looking = false;
  let again = false;

  async function look(address) {
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    try {
      const response = await fetch(address || location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
      if (response.redirected && new URL(response.url).pathname.endsWith("/login")) {
        // The session is over; unless somebody has just ended it, and is on the way.
        if (!document.querySelector("form[data-sent]")) location.reload();
        return;
      }
      if (response.ok) swap(new DOMParser().parseFromString(await response.text(), "text/html"));
      if (response.ok) state("");
      else if (response.status === 404) state("What this page shows is not there any more.");
      else state("The server can’t make this page just now. What you see is from before.");
    } catch {
      state("The server does not answer. What you see is from before.");
    } finally {
      looking = false;
      if (again) {
        again = false;
        setTimeout(look, PAUSE);
      }
    }
  }

  function swap(fresh) {
    for (const old of document.querySelectorAll("[data-live][id]")) {
      const next = fresh.getElementById(old.id);
      if (!next) continue;
      equip(next);
      if (next.outerHTML === old.outerHTML) continue;
      for (const details of old.querySelectorAll("details[id][open]")) {
        const same = next.querySelector(`#${CSS.escape(details.id)}`);
        if (same) same.open = true;
      }
      for (const box of old.querySelectorAll("input[type=checkbox][id]:checked")) {
        const same = next.querySelector(`#${CSS.escape(box.id)}`);
        if (same) same.checked = true;
      }
      const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
      old.replaceWith(document.adoptNode(next));
      if (focused) document.getElementById(focused)?.focus();
    }
  }

  function state(words) {
    const place = document.querySelector("[data-link-state]");
    if (!place) return;
    place.textContent = words;
    place.hidden = !words;
    document.body.classList.toggle("stale", words !== "");
  }

  function follow() {
    const { events, topics } = document.body.dataset;
    if (!events || !topics || !document.querySelector("[data-live]")) return;
    const mine = new Set(topics.split(" "));
    let source = null;
    let timer = null;
    let lost = null;
    const open = () => {
      source = new EventSource(events);
      source.addEventListener("open", () => {
        clearTimeout(lost);
        lost = null;
        if (document.body.classList.contains("stale")) look();
      });
      source.addEventListener("changed", (event) => {
        if (event.data.split(" ").some((topic) => mine.has(topic))) {
          clearTimeout(timer);
          timer = setTimeout(look, 150);
        }
      });
      source.addEventListener("error", () => {
        if (source.readyState === EventSource.CLOSED) lost = setTimeout(() => { look(); open(); }, POLL);
        else lost ||= setTimeout(look, LOST);
      });
    };
    // A page that nobody sees follows nothing; it catches up when it is seen again.
    const heed = () => {
      if (document.visibilityState === "hidden") {
        source?.close();
        source = null;
        clearTimeout(lost);
        lost = null;
      } else if (!source) {
        look();
        open();
      }
    };
    open();
    document.addEventListener("visibilitychange", heed);
    window.addEventListener("pagehide", () => source?.close());
    setInterval(() => { if (document.visibilityState === "visible") look(); }, 60000); // "5 minutes ago" grows old
  }

  // --- forms that answer while one types ------------------------------------------------------------------------------

  // `<form data-search>`: its result is the same page with other parts marked `data-live`.
  function equipSearch(form) {
    let timer = null;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const filled = [...new FormData(form)].filter(([, value]) => value !== "");
        const address = `${form.getAttribute("action")}?${new URLSearchParams(filled)}`;
        history.replaceState(null, "", address);
        look(address);
      }, TYPING);
    });
  }

  // `<form data-check="address" >`: what the address answers to the form so far goes into the element `data-check-into`.
  function equipCheck(form) {
    let timer = null;
    let running = null;
    const check = async () => {
      running?.abort();
      running = new AbortController();
      const place = document.getElementById(form.dataset.checkInto);
      place.setAttribute("aria-busy", "true");
      try {
        const body = new URLSearchParams(new FormData(form));
        const response = await fetch(form.dataset.check, { method: "POST", body, signal: running.signal });
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById(place.id);
        if (response.ok && fresh) {
          equip(fresh);
          place.replaceChildren(...fresh.childNodes);
        }
        place.removeAttribute("aria-busy");
      } catch (error) {
        if (error.name !== "AbortError") place.removeAttribute("aria-busy");
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(check, 2 * TYPING);
    });
    if ("checkNow" in form.dataset) check();
  }

  // `<p hidden><input type="file" data-fills="id">`: the text of a file goes into a field, as if somebody had typed it.
  function equipFile(picker) {
    picker.closest("[hidden]").hidden = false;
    picker.addEventListener("change", async () => {
      if (!picker.files.length) return;
      const field = document.getElementById(picker.dataset.fills);
      field.value = await picker.files[0].text();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  settle();
  equip(document);
  for (const picker of document.querySelectorAll("[data-fills]")) equipFile(picker);
  equipTheme();
  equipMenu();
  for (const form of document.querySelectorAll("form[data-search]")) equipSearch(form);
  for (const form of document.querySelectorAll("form[data-check]")) equipCheck(form);
  follow();
})();
