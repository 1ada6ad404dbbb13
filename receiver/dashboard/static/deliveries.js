// The list of deliveries: filters, and sending again one or all.

import { here, link, remembered, rememberRows } from "./address.js";
import { sendAgain, testWebhook } from "./actions.js";
import { get, post, withQuery } from "./api.js";
import { confirmAction } from "./dialog.js";
import { arrange, columnHeads, failure, h, hide, main, once, placeholder, refill } from "./dom.js";
import { follow, jobs, storeJob } from "./live.js";
import { repeat } from "./repeat.js";
import { isEverybodys, scopeControl, scopeOf } from "./scope.js";
import { age, until } from "./times.js";
import { filterControls, toolbar } from "./toolbar.js";
import { chip, DELIVERY_OPTIONS, deliveryState, stateWord, titleOf } from "./words.js";

const REFRESH = 5000;
const PAGE = 50;
const LARGEST_PAGE = 200;
const MOST_PAGES = 5;
const NAMED_AT_ONCE = 50;
const NOT_DELIVERED = ["pending", "exhausted", "disabled"];
const COLUMNS = ["State", "Message", "To", "Last answer", "Next attempt", "Created", ""];

/** Show the deliveries until `signal`; resolves when the first rows are shown. */
export function showDeliveries(user, signal) {
  const list = h("ul", { class: "rows", "aria-label": "Deliveries" });
  const note = h("div", { "aria-live": "polite" }, placeholder("Loading…"));
  const more = h("button", { type: "button", hidden: true, click: () => once(more, showOlder) }, "Show older");
  const all = h("button", { type: "button", hidden: true, click: () => sendAll(user, signal, known(), sentAll) },
    "Send all of these again");
  const sent = h("small", { role: "status" });
  const refresh = repeat({ signal, period: REFRESH, read, failed });
  const soon = () => refresh.soon(500);
  let rows = new Map();
  let wanted = Math.max(PAGE, remembered().rows);
  let mostPages = MOST_PAGES + Math.floor(wanted / LARGEST_PAGE);

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Deliveries"), h("span", { class: "tools" }, sent, all,
      h("button", { type: "button", click: () => testWebhook(signal) }, "Send a test"))),
    h("p", { class: "hint" }, "Webhooks to the URLs that jobs were submitted with."),
    deliveriesToolbar(user, filtered, signal),
    columnHeads("delivery", COLUMNS), list, note, h("p", {}, more),
  );

  const known = () => !more.hidden ? `all deliveries (more than ${rows.size})`
    : rows.size === 1 ? "one delivery" : `${rows.size} deliveries`;

  function filtered() {
    follow(scopeOf(user)); // another user's jobs must not stay in the cache
    wanted = PAGE;
    mostPages = MOST_PAGES;
    all.hidden = true;
    show([]);
    note.replaceChildren(placeholder("Loading…"));
    refresh.now();
  }

  function sentAll(count) {
    sent.textContent = `${count} queued.`;
    setTimeout(() => sent.replaceChildren(), 5000);
    soon();
  }

  function showOlder() {
    wanted = rows.size + PAGE;
    mostPages += MOST_PAGES;
    return refresh.now();
  }

  // The service looks through a limited number of deliveries for a page, so a page may be empty.
  async function readPages(current) {
    const deliveries = [];
    let cursor = null;
    for (let pages = 0; deliveries.length < wanted && pages < mostPages; pages += 1) {
      const limit = Math.min(LARGEST_PAGE, wanted - deliveries.length);
      const query = { ...filters(), user: scopeOf(user), limit, cursor };
      const page = await get(withQuery("/v1/deliveries", query), current);
      deliveries.push(...page.deliveries);
      cursor = page.next_cursor;
      if (cursor === null) break;
    }
    hide(more, cursor === null, list.lastElementChild?.querySelector("a"));
    return deliveries;
  }

  async function read(current) {
    const deliveries = await readPages(current);
    hide(all, deliveries.length === 0 || !NOT_DELIVERED.includes(filters().state));
    show(deliveries);
    rememberRows(rows.size);
    refill(note, rows.size > 0 ? [] : [nothing(filters(), !more.hidden)]);
    await readTitles(deliveries, current);
    if (!current.aborted) show(deliveries);
  }

  function failed(error) {
    refill(note, [failure(error, refresh.now)]);
  }

  function show(deliveries) {
    rows = new Map(deliveries.map((each) =>
      [each.id, rows.get(each.id) ?? deliveryRow(each, user, signal, soon)]));
    for (const each of deliveries) rows.get(each.id).update(each);
    arrange(list, [...rows.values()].map(({ element }) => element));
  }

  return refresh.now();
}

function filters() {
  const { query } = here();
  const failing = query.get("state") === "failing";
  return { state: failing ? "pending" : query.get("state"), failing: failing || null, host: query.get("host"), request_id: query.get("request_id") };
}

function nothing({ state, host, request_id: id }, isMore) {
  if (/^msg_\w{26}$/.test(id)) {
    const open = h("a", { class: "button", href: link(`/deliveries/${id}`) }, "Open that delivery");
    return placeholder("This is the id of a message", "", open);
  }
  if (isMore) return placeholder("No deliveries", "“Show older” searches further back.");
  return placeholder("No deliveries", state || host || id ? "None match these filters."
    : "The webhooks of jobs with a webhook URL appear here.");
}

function deliveriesToolbar(user, changed, signal) {
  const { text, select } = filterControls(changed, signal);
  return toolbar(
    text("host", "Host", "hooks.example.com"), text("request_id", "Job", "job_… or msg_…"),
    select("state", "State", () => DELIVERY_OPTIONS),
    user.admin && scopeControl(user, changed));
}

function deliveryRow({ id, type, host, user: owner, created_at: created }, user, signal, done) {
  const state = h("span", { class: "where" });
  const title = h("a", { href: link(`/deliveries/${encodeURIComponent(id)}`) }, type);
  const about = h("small");
  const last = h("small", { class: "last" });
  const next = h("small", { class: "next" });
  const again = sendAgain(id, signal, done);
  const by = isEverybodys(user) && `${owner} · `;
  function update(delivery) {
    const job = jobs.get(delivery.request_id);
    state.replaceChildren(chip(deliveryState(delivery)));
    about.replaceChildren(by || "", job ? titleOf(job) : delivery.request_id);
    last.replaceChildren(...summary(delivery));
    next.replaceChildren(...nextAttempt(delivery));
  }
  const element = h("li", {}, h("div", { class: "row delivery" }, state,
    h("span", { class: "what" }, title, about),
    h("small", { class: "to" }, host.replace(/:443$/, "")), last, next,
    h("small", { class: "age" }, age(created)), h("span", { class: "act" }, again)));
  return { element, update };
}

function summary({ state, attempts, max_attempts: most }) {
  const last = attempts.at(-1);
  if (last === undefined) return [state === "pending" ? "no attempt yet" : "not sent"];
  const number = attempts.length > most ? attempts.length : `${attempts.length} of ${most}`;
  return [h("strong", {}, last.error ?? `HTTP ${last.status_code}`), " ", h("span", {}, `attempt ${number}`)];
}

/** When the next attempt is, and that the host cannot be reached if so; nothing without one. */
export function nextAttempt({ state, paused, next_attempt_at: at }) {
  if (state !== "pending" || !at) return [];
  return paused ? [until(at), ", since the host fails"] : [until(at)];
}

/** Read the jobs of these deliveries that are not known yet, some at a time. */
async function readTitles(deliveries, signal) {
  const unknown = deliveries.map((each) => each.request_id).filter((id) => !jobs.has(id));
  const ids = [...new Set(unknown)].slice(0, NAMED_AT_ONCE);
  // A job that cannot be read is shown by its id.
  await Promise.allSettled(
    ids.map(async (id) => storeJob(await get(`/v1/jobs/${encodeURIComponent(id)}`, signal))));
}

/**
 * Send all deliveries again that were given up and match the filters, after confirmation. `count`
 * describes their number, as text.
 */
function sendAll(user, signal, count, done) {
  const { state, host, request_id: job } = filters();
  const which = [host && ` to ${host}`, job && ` of ${job}`, isEverybodys(user) && " of every user"]
    .filter(Boolean).join(",");
  confirmAction({
    title: "Send all of these again?",
    text: `This sends ${count}${which} in the state “${stateWord(state)}” now, within the sending`
      + " limits; if that fails, retries follow the schedule. Endpoints may get a message twice.",
    action: "Send all again", signal,
    async act() {
      const body = { state, host: host ?? undefined, request_id: job ?? undefined };
      const { retried } = await post(withQuery("/v1/deliveries/retry", { user: scopeOf(user) }), body);
      done(retried);
    },
  });
}
