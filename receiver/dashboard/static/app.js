// The page: who is signed in, and which view is shown.

import { addressChanges, beginView, here, link, restoreScroll } from "./address.js";
import { get, isSameSession, remove, session } from "./api.js";
import { showConnection } from "./connection.js";
import { confirmAction } from "./dialog.js";
import { showDeliveries } from "./deliveries.js";
import { showDelivery } from "./delivery.js";
import { failure, main, once } from "./dom.js";
import { showJob } from "./job.js";
import { showJobs } from "./jobs.js";
import { showKeys } from "./keys.js";
import { follow, stop } from "./live.js";
import { showOverview } from "./overview.js";
import { scopeOf } from "./scope.js";
import { showSignIn } from "./sign-in.js";
import { showForm } from "./submit.js";

/** `{name, admin}`. */
let user = null;
let leaving = new AbortController();

// A view gets the user, a signal that ends it, and the path's parameters. Its promise is awaited
// before the scroll position is restored.
const VIEWS = [
  { path: /^\/jobs\/([^/]+)$/, show: showJob, title: "Job", under: "/" },
  { path: /^\/new$/, show: showForm, title: "New job", under: "/" },
  { path: /^\/overview$/, show: showOverview, title: "Overview" },
  { path: /^\/deliveries$/, show: showDeliveries, title: "Deliveries" },
  { path: /^\/deliveries\/([^/]+)$/, show: showDelivery, title: "Delivery", under: "/deliveries" },
  { path: /^\/keys$/, show: showKeys, title: "Keys" },
  { path: /^\/$/, show: showJobs, title: "Jobs" },
];

async function route() {
  if (!user) return;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { path } = here();
  const view = VIEWS.find((each) => each.path.test(path));
  if (!view) {
    location.replace("#/");
    return;
  }
  beginView();
  document.title = `${view.title} · receiver`;
  for (const each of document.querySelectorAll("nav a")) {
    if (each.dataset.path === (view.under ?? path)) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  addressNavigation();
  scrollTo(0, 0);
  // The view of one job or delivery follows its owner instead.
  if (!view.under) follow(scopeOf(user));
  await view.show(user, signal, ...view.path.exec(path).slice(1).map(decode));
  if (!signal.aborted) restoreScroll();
}

/** Navigation links keep the selected user. */
function addressNavigation() {
  for (const each of document.querySelectorAll("nav a")) each.href = link(each.dataset.path);
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not one of our links: it will not be found
  }
}

// --- the session ---------------------------------------------------------------------------------

async function begin() {
  try {
    enter(await get("/session"));
  } catch (error) {
    main.replaceChildren(failure(error, begin));
  }
}

// All tabs share the session cookie: a tab that shows another session than the new one must reload.
// One that waits for a sign-in enters instead, and one whose session has ended waits: both keep their draft.
const tabs = new BroadcastChannel("session");
tabs.addEventListener("message", ({ data: entered }) => {
  if (isSameSession(entered ?? {})) return; // null comes from a page of an older release
  if (entered?.user === null) ended();
  else if (user === null && entered) enter(entered);
  else {
    // Until the page is gone, its form must neither ask whether to leave nor be sent in another session.
    leaving.abort();
    session.user = null;
    location.reload();
  }
});

function signedIn(entered) {
  tabs.postMessage(entered);
  enter(entered);
  main.focus({ preventScroll: true }); // the form is gone
}

function enter({ user: name, admin, retention_days: retentionDays }) {
  if (name === null) {
    showSignIn(signedIn);
    return;
  }
  Object.assign(session, { user: name, admin });
  user = { name, admin, retentionDays };
  frame();
  stop(); // what another user followed
  follow(scopeOf(user));
  route();
}

function exit(notice) {
  user = null;
  Object.assign(session, { user: null, admin: false });
  leaving.abort();
  stop();
  frame();
  showSignIn(signedIn, notice);
}

function ended() {
  if (user) exit("Your session has ended. Sign in again.");
}

function frame() {
  document.querySelector("nav").hidden = user === null;
  document.getElementById("sign-out").hidden = user === null;
  document.getElementById("who").textContent = user ? user.name + (user.admin ? " (admin)" : "") : "";
}

async function leave() {
  tabs.postMessage(await remove("/session"));
  exit();
}

async function signOut() {
  try {
    await leave();
  } catch (error) {
    confirmAction({
      title: "You are still signed in", text: error.message, action: "Sign out", signal: leaving.signal, act: leave,
    });
  }
}

document.getElementById("sign-out").addEventListener("click", ({ target }) => once(target, signOut));
session.addEventListener("signed-out", ended);
addressChanges.addEventListener("change", addressNavigation);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after # is the view
  main.focus();
});
addEventListener("hashchange", () => {
  route();
  // For screen readers: continue at the beginning of the new view.
  main.focus({ preventScroll: true });
});
showConnection();
begin();
