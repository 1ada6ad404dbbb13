// The view and its filters in the page's URL, such as `#/deliveries?state=exhausted`.

import { withQuery } from "./api.js";

/** The views visited so far, latest last. */
let trail = [];

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
  if (trail.length > 0) trail[trail.length - 1] = location.hash;
  addressChanges.dispatchEvent(new Event("change"));
}

// --- the scroll position -------------------------------------------------------------------------
//
// Each history entry stores its scroll position and the number of loaded rows, so that Back
// restores what was shown.

history.scrollRestoration = "manual";
let pause = 0;
let arriving = true;

/** What this history entry stores: `{y, rows}`. */
export const place = () => ({ y: 0, rows: 0, ...history.state });

function keep(part) {
  if (!arriving) history.replaceState({ ...place(), ...part }, "");
}

/** Store the number of rows of a list. */
export const keepRows = (rows) => keep({ rows });

/** A view starts to load: nothing is stored until it is shown. */
export function leavePlace() {
  clearTimeout(pause);
  pause = 0;
  arriving = true;
}

/** The view is shown: restore the scroll position of this entry. */
export function restorePlace() {
  scrollTo(0, place().y);
  arriving = false;
}

function keepScroll() {
  clearTimeout(pause);
  pause = 0;
  keep({ y: Math.round(scrollY) });
}

addEventListener("scroll", () => {
  if (!arriving) pause ||= setTimeout(keepScroll, 120);
});
// A click may leave the page before the timer fires.
addEventListener("click", () => pause && keepScroll(), { capture: true });

// --- the previous view ---------------------------------------------------------------------------

/** Record the current view; called once for each view. */
export function noteView() {
  const now = location.hash || "#/";
  if (trail.at(-2) === now) trail.pop();
  else if (trail.at(-1) !== now) trail.push(now);
  trail = trail.slice(-50);
}

/** The target of a link up to a list: the list with its last filters if it is the previous view. */
export function up(path) {
  const before = trail.at(-2);
  return before !== undefined && before.slice(1).split("?")[0] === path ? before : link(path);
}

/** Follow a link up. Goes back if the list is the previous view, to restore its scroll position. */
export function goUp(event) {
  const opensElsewhere = event.ctrlKey || event.metaKey || event.shiftKey;
  if (opensElsewhere || event.currentTarget.getAttribute("href") !== trail.at(-2)) return;
  event.preventDefault();
  history.back();
}
