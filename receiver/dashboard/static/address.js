// The view and its filters in the page's URL, such as `#/deliveries?state=exhausted`, and what each
// history entry remembers: the scroll position, the number of rows, and the view before it.

import { withQuery } from "./api.js";
import { h } from "./dom.js";

/** The view's path and its parameters. */
export function here() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?", 2);
  return { path, query: new URLSearchParams(query) };
}

/** A link within the page. Keeps the `user` parameter unless `parameters` has one. */
export function link(path, parameters = {}) {
  return `#${withQuery(path, { user: here().query.get("user"), ...parameters })}`;
}

/** Dispatches `change` when the URL was changed in place. */
export const addressChanges = new EventTarget();

/** Change the URL's parameters in place: no new view and no new history entry. */
export function change(parameters) {
  const { path, query } = here();
  const next = { ...Object.fromEntries(query), ...parameters };
  history.replaceState(history.state, "", `#${withQuery(path, next)}`);
  previous = location.hash;
  addressChanges.dispatchEvent(new Event("change"));
}

// --- history entries -----------------------------------------------------------------------------

// Safari refuses more than 100 changes of the history in 10 seconds, older releases in 30.
const WRITE_PAUSE = 400;

history.scrollRestoration = "manual";
/** The hash of the view that was shown last. */
let previous = null;
let isShown = false;
/** What this entry is to remember when the timer fires. */
let pending = {};
let timer = 0;

/** What this entry remembers: `{y, rows, from}`. */
export const remembered = () => ({ y: 0, rows: 0, from: null, ...history.state, ...pending });

function remember(part) {
  if (!isShown) return;
  Object.assign(pending, part);
  timer ||= setTimeout(write, WRITE_PAUSE);
}

function write() {
  history.replaceState(remembered(), "");
  forget();
}

function forget() {
  clearTimeout(timer);
  timer = 0;
  pending = {};
}

/** A view starts to load. Until it is shown, its entry keeps what it remembers. */
export function beginView() {
  forget();
  isShown = false;
  if (history.state === null) history.replaceState({ from: previous }, "");
  previous = location.hash;
}

/** The view is shown: scroll to where it was, unless the user has scrolled meanwhile. */
export function restoreScroll() {
  if (scrollY === 0) scrollTo(0, remembered().y);
  isShown = true;
}

/** Remember the number of rows of a list. */
export function rememberRows(rows) {
  if (rows !== remembered().rows) remember({ rows });
}

addEventListener("scroll", () => remember({ y: Math.round(scrollY) }));
// The page may be left before the timer fires.
const writeNow = () => timer && write();
addEventListener("click", writeNow, { capture: true });
addEventListener("pagehide", writeNow);

/**
 * A link to the list that a view belongs to. If the visitor came from that list, the link keeps its
 * filters, and goes back in the history, which restores the scroll position.
 */
export function backLink(path, text, look) {
  const { from } = remembered();
  const isBack = from !== null && (from.slice(1) || "/").split("?")[0] === path;
  function click(event) {
    if (!isBack || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.back();
  }
  return h("a", { href: isBack ? from : link(path), class: look, click }, text);
}
