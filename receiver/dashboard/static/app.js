// The page: who is signed in, which view is shown, and whether the stream is alive.

import { ask, get, post, session } from "./api.js";
import { showDeliveries } from "./deliveries.js";
import { announce, duration, failure, h, main } from "./dom.js";
import { showHealth } from "./health.js";
import { showJob } from "./job.js";
import { showJobs } from "./jobs.js";
import { connection, follow, live, reconnect, stop } from "./live.js";
import { startSampling, stopSampling } from "./metrics.js";
import { showForm } from "./submit.js";

/** `{name, admin, viewed}`; `viewed` is the other user that an admin looks at. */
let user = null;
let leaving = new AbortController();

const VIEWS = [
  [/^#\/jobs\/([^/]+)$/, showJob, "Job"],
  [/^#\/new$/, showForm, "New job"],
  [/^#\/deliveries$/, showDeliveries, "Deliveries"],
  [/^#\/health$/, showHealth, "Health"],
  [/^(?:#\/)?$/, showJobs, "Jobs"],
];

function route() {
  // An anchor within the page (the skip link) is no view.
  if (!user || (location.hash && !location.hash.startsWith("#/"))) return;
  leave();
  const found = VIEWS.map(([pattern, show, title]) => ({ match: pattern.exec(location.hash), show, title }))
    .find(({ match }) => match);
  if (!found || (found.show === showHealth && !user.admin)) {
    location.replace("#/");
    return;
  }
  document.title = `${found.title} · receiver`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = (location.hash || "#/") === link.getAttribute("href");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  found.show(user, leaving.signal, ...found.match.slice(1).map(decode));
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // no link of ours: it will not be found
  }
}

function leave() {
  leaving.abort();
  leaving = new AbortController();
}

// --- the session ---------------------------------------------------------------------------------

async function begin() {
  try {
    enter(await get("/session"));
  } catch (error) {
    main.replaceChildren(failure(error, begin));
  }
}

function enter({ user: name, admin }) {
  if (name === null) {
    signIn();
    return;
  }
  user = { name, admin, viewed: null };
  frame(true);
  follow(null);
  if (admin) startSampling();
  route();
}

function exit(notice) {
  user = null;
  leave();
  stop();
  stopSampling();
  frame(false);
  signIn(notice);
}

function frame(signedIn) {
  document.querySelector("nav").hidden = !signedIn;
  document.querySelector("[data-admin]").hidden = !user?.admin;
  document.getElementById("sign-out").hidden = !signedIn;
  document.getElementById("who").textContent = user ? user.name + (user.admin ? " (admin)" : "") : "";
}

function signIn(notice) {
  document.title = "Sign in · receiver";
  const problem = h("div", { role: "alert" }, notice && h("p", { class: "notice" }, notice));
  const key = h("input", {
    id: "key", type: "password", autocomplete: "off", required: true, spellcheck: "false",
    "aria-describedby": "key-hint",
  });
  async function submit(event) {
    event.preventDefault();
    const given = key.value;
    key.value = "";
    try {
      enter(await post("/session", { key: given }));
    } catch (error) {
      const words = error.status === 401 ? "No such key, or it was revoked." : error.message;
      problem.replaceChildren(h("p", { class: "notice bad" }, words));
      key.focus();
    }
  }
  main.replaceChildren(h("form", { class: "form narrow", submit },
    h("h1", {}, "Sign in"), problem,
    h("div", { class: "field" }, h("label", { for: "key" }, "API key"), key,
      h("small", { id: "key-hint" }, "It is exchanged for a session and not kept in this page. ",
        h("code", {}, "receiver keys create NAME"), " prints one.")),
    h("p", { class: "actions" }, h("button", { class: "primary" }, "Sign in"))));
  key.focus();
}

document.getElementById("sign-out").addEventListener("click", async () => {
  try {
    await ask("DELETE", "/session");
    exit();
  } catch (error) {
    main.replaceChildren(failure(error, route));
  }
});
session.addEventListener("signed-out", () => user && exit("Your session has ended. Sign in again."));

// --- the stream's state --------------------------------------------------------------------------

const WORDS = { off: "", connecting: "connecting…", live: "live", lost: "disconnected" };
let lost = false;

live.addEventListener("connection", () => {
  const { state } = connection;
  const sign = document.getElementById("connection");
  sign.hidden = state === "off";
  sign.className = state;
  sign.textContent = WORDS[state];
  const banner = document.getElementById("lost");
  if (state === "lost" && !lost) {
    banner.replaceChildren(h("span", {}, "The connection is lost; what you see may be old. "),
      h("span", { id: "retry", "aria-live": "off" }),
      h("button", { type: "button", class: "small", click: reconnect }, "Try now"));
  }
  if (state === "live" && lost) announce("Connected again.");
  banner.hidden = state !== "lost";
  lost = state === "lost";
});

setInterval(() => {
  if (!lost) return;
  const left = connection.retryAt - Date.now();
  document.getElementById("retry").textContent =
    left > 0 ? `Next attempt in ${duration(left + 999)}. ` : "Trying… ";
}, 500);

// --- the theme -----------------------------------------------------------------------------------

const THEMES = { "": "Auto", light: "Light", dark: "Dark" };
const themeButton = document.getElementById("theme");

function nameTheme() {
  const name = THEMES[document.documentElement.dataset.theme ?? ""];
  themeButton.textContent = `◐ ${name}`;
  themeButton.setAttribute("aria-label", `Theme: ${name}`);
}

themeButton.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const root = document.documentElement;
  const next = names[(names.indexOf(root.dataset.theme ?? "") + 1) % names.length];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  try {
    localStorage.setItem("theme", next);
  } catch {
    // Storage is off: the choice lasts as long as the page.
  }
  nameTheme();
});

nameTheme();
addEventListener("hashchange", () => {
  route();
  // Whoever cannot see that the view has changed continues at its beginning.
  main.focus({ preventScroll: true });
});
begin();
