// Statistics of the last 24 hours: jobs, the source of outcomes, time to completion, and the health
// of webhook endpoints.

import { link } from "./address.js";
import { get, withQuery } from "./api.js";
import { bars, lines } from "./charts.js";
import { card, failure, h, main, placeholder, refill, table } from "./dom.js";
import { follow } from "./live.js";
import { ofInterest, placesUsed } from "./places.js";
import { repeat } from "./repeat.js";
import { scopeControl, scopeOf } from "./scope.js";
import { serviceCard } from "./service.js";
import { spendCard } from "./spend.js";
import { age, duration, HOUR, zone } from "./times.js";
import { chip, stateWord } from "./words.js";

const REFRESH = 30_000;
const NEWEST = 100; // messages whose hosts are shown
const hour = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const took = (ms) => (ms === null ? "–" : duration(ms, true));
const share = (part, whole) => (whole === 0 ? "–" : `${Math.floor((part / whole) * 1000) / 10} %`);

/** Show the overview until `signal`; resolves when it is shown. */
export function showOverview(user, signal) {
  const note = h("div", { "aria-live": "polite" }, placeholder("Loading…"));
  const content = h("div");
  const refresh = repeat({ signal, period: REFRESH, read, failed });
  const cost = spendCard(user, () => refresh.now());

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Overview"),
      user.admin && h("div", { class: "toolbar" }, scopeControl(user, chosen))),
    h("p", { class: "hint" }, `The last 24 hours (${zone}): jobs by hour of creation, webhooks by hour of the attempt. Click an hour to see its jobs.`),
    note, content);

  function chosen() {
    follow(scopeOf(user));
    content.replaceChildren();
    note.replaceChildren(placeholder("Loading…"));
    refresh.now();
  }

  async function read(current) {
    const scope = { user: scopeOf(user) };
    const [statistics, { places }, { deliveries }, spend, budgets, service] = await Promise.all([
      get(withQuery("/v1/statistics", scope), current),
      get(withQuery("/v1/places", scope), current),
      get(withQuery("/v1/deliveries", { ...scope, limit: NEWEST }), current),
      get(withQuery("/v1/spend", { ...scope, ...cost.query() }), current),
      get(withQuery("/v1/budgets", scope), current), user.admin && serviceCard(current),
    ]);
    const hours = statistics.hours.map(flat);
    note.replaceChildren(statistics.complete ? "" : h("p", { class: "notice" },
      "The times are those of the newest 20,000 jobs."));
    const cards = [charts(hours), placesCard(places), cost.update(spend, budgets), endpoints(deliveries)];
    refill(content, [service, headline({ ...statistics, hours }), ...cards].filter(Boolean));
  }

  function failed(error) {
    refill(note, [failure(error, refresh.now)]);
  }

  return refresh.now();
}

const sum = (all, name) => all.reduce((total, each) => total + each[name], 0);

const total = (counts) => Object.values(counts).reduce((all, count) => all + count, 0);

/** An hour with all counts as members; missing counts are 0. */
function flat(hour) {
  const zeros = { COMPLETED: 0, FAILED: 0, CANCELLED: 0, callback: 0, poll: 0 };
  const [all, known] = [total(hour.jobs), total(hour.known)];
  const counts = { ...zeros, ...hour.jobs, ...hour.known };
  return {
    ...hour, ...counts, all, open: all - known, otherwise: known - counts.callback - counts.poll,
    undelivered: hour.attempts - hour.delivered,
  };
}

function headline({ hours, median_ms: median, p95_ms: p95 }) {
  const [completed, failed] = [sum(hours, "COMPLETED"), sum(hours, "FAILED")];
  const [attempts, delivered] = [sum(hours, "attempts"), sum(hours, "delivered")];
  const known = [sum(hours, "callback"), sum(hours, "poll")];
  const failures = h("a", { href: link("/", { status: "FAILED", since: "24h" }) }, `${failed} failed`);
  const tiles = [
    ["Jobs", sum(hours, "all"), failed > 0 ? failures : "none failed"],
    ["Completed", share(completed, completed + failed), "of those that completed or failed"],
    ["Median time to completion", took(median), `p95 ${took(p95)}`],
    ["Outcomes by callback", share(known[0], known[0] + known[1]), "the others by poll"],
    ["Webhooks delivered", share(delivered, attempts), `of ${attempts} attempts`],
  ];
  return h("dl", { class: "tiles" }, tiles.map(([name, value, more]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, h("strong", {}, String(value)), h("small", {}, more)))));
}

function charts(hours) {
  // For the mouse; by keyboard, the list's own filters lead there.
  const openHour = (index) => {
    const { at } = hours[index];
    const before = new Date(Date.parse(at) + HOUR).toISOString();
    location.hash = link("/", { since: "between", after: at, before });
  };
  const labels = hours.map(({ at }) => hour.format(new Date(at)));
  const of = (name) => hours.map((each) => each[name]);
  const total = (name) => sum(hours, name);
  return h("div", { class: "charts" },
    card("Jobs", bars({
      labels, open: openHour, summary: `${total("all")} jobs: ${total("COMPLETED")} completed, ${total("FAILED")} failed,`
        + ` ${total("CANCELLED")} cancelled`,
      series: [
        { name: "completed", look: "completed", values: of("COMPLETED") },
        { name: "failed", look: "failed", values: of("FAILED") },
        { name: "cancelled", look: "cancelled", values: of("CANCELLED") },
        { name: "not finished", look: "open", values: of("open") },
      ],
    })),
    card("Source of outcomes", bars({
      labels, open: openHour, summary: `${total("callback")} by callback, ${total("poll")} by poll`,
      series: [
        { name: "by callback", look: "callback", values: of("callback") },
        { name: "by poll", look: "poll", values: of("poll") },
        { name: "other", look: "cancelled", values: of("otherwise") },
      ],
    })),
    card("Time to completion", lines({
      labels, summary: "Median and 95th percentile of each hour",
      series: [
        { name: "p95", look: "slow", values: of("p95_ms") },
        { name: "median", look: "callback", values: of("median_ms") },
      ],
    })),
    card("Webhook attempts", bars({
      labels, summary: `${total("delivered")} of ${total("attempts")} delivered`,
      series: [
        { name: "delivered", look: "completed", values: of("delivered") },
        { name: "not delivered", look: "failed", values: of("undelivered") },
      ],
    })));
}

// --- places --------------------------------------------------------------------------------------

const MOST_USERS = 10; // shown for each provider

function placesCard(all) {
  const places = ofInterest(all);
  return places.length > 0 && card("Places at the providers",
    h("p", { class: "hint" }, "A job takes a place at its provider until it ends. RECEIVER_JOBS_IN_FLIGHT"
      + " says how many there are; further jobs wait here. The numbers are of all users."),
    table("Places at the providers", ["Provider", "Running", "Waiting", "Who waits"], places.map(placeRow)));
}

function placeRow(place) {
  const waiting = place.users.filter((each) => each.waiting > 0);
  const named = waiting.slice(0, MOST_USERS);
  const others = place.waiting - sum(named, "waiting"); // of users who are not shown
  const who = [...named, ...(others > 0 ? [{ user: "others", waiting: others }] : [])];
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: link("/", { provider: place.provider }) }, place.provider)),
    h("td", {}, placesUsed(place)),
    h("td", { class: "number" }, String(place.waiting)),
    h("td", {}, who.map((each) => `${each.user} (${each.waiting})`).join(", ") || "–"));
}

// --- endpoints -----------------------------------------------------------------------------------

const COLUMNS = ["Host", "Health", "Delivered", "Waiting", "Given up", "Last error"];

function endpoints(deliveries) {
  const hosts = Map.groupBy(deliveries, ({ host }) => host);
  const hint = h("p", { class: "hint" }, hosts.size > 0 ? `Of the newest ${NEWEST} messages.` : "No webhooks yet.");
  return card("Endpoints", hint, hosts.size > 0 && table("Endpoints", COLUMNS, [...hosts].map(hostRow)));
}

function hostRow([host, deliveries]) {
  const attempts = deliveries.flatMap((each) => each.attempts);
  const failures = attempts.filter((each) => !isGood(each)).sort((a, b) => a.at.localeCompare(b.at));
  const last = failures.at(-1);
  const delivered = attempts.length - failures.length;
  const count = (state) => deliveries.filter((each) => each.state === state).length;
  const inState = (state) => count(state) > 0
    && h("a", { href: link("/deliveries", { host, state }) }, `${count(state)} ${stateWord(state).toLowerCase()}`);
  const givenUp = [inState("exhausted"), inState("disabled")].filter(Boolean);
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: link("/deliveries", { host }) }, host.replace(/:443$/, ""))),
    h("td", {}, health(attempts.length, delivered)),
    h("td", { class: "number" }, `${share(delivered, attempts.length)} of ${attempts.length}`),
    h("td", { class: "number" }, String(count("pending"))),
    h("td", { class: "number" }, givenUp.length === 0 ? "0" : givenUp.flatMap((each) => [" ", each])),
    h("td", {}, last ? [h("code", {}, last.error ?? String(last.status_code)), " ", age(last.at)] : "–"));
}

const isGood = ({ status_code: code }) => code >= 200 && code < 300;

function health(attempts, delivered) {
  if (attempts === 0) return chip("pending", "Not tried", "○");
  if (delivered === attempts) return chip("completed", "Healthy", "✓");
  return delivered === 0 ? chip("failed", "Failing", "✕") : chip("warning", "Some fail", "!");
}
