// The health of the service, for admins.

import { bars } from "./charts.js";
import { card, h, main, placeholder, refill } from "./dom.js";
import { growth, isStale, MAX_SAMPLES, quantile, samples, sampling } from "./metrics.js";
import { duration } from "./times.js";
import { chip, phaseWord, stateWord } from "./words.js";

const PHASES = ["queued", "submitting", "submit_unconfirmed", "accepted", "rendering", "confirming"];
const ENDS = ["COMPLETED", "FAILED", "CANCELLED"];
const SAMPLES_A_MINUTE = 12;

/** Show the health until `signal`. */
export function showHealth(_user, signal) {
  const note = h("div", { role: "status" });
  const cards = h("div", { class: "cards" }, placeholder("Loading…"));

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Health")),
    h("p", { class: "hint" }, "The service's metrics, every 5 s while this page is open. The store, but for jobs, is measured ",
      "every 30 s. Counters restart with the service. With replicas, each answers in turn."),
    note, cards,
  );

  function show() {
    if (samples.length === 0) return;
    note.replaceChildren();
    const now = samples.at(-1);
    cards.replaceChildren(...[openJobs, finishedJobs, outcomeSources, provider, latency, webhooks, store]
      .map((draw) => draw(now)));
  }

  function warn() {
    const text = `The metrics cannot be read${samples.length > 0 ? "; these figures are out of date" : ""}.`;
    refill(note, [h("p", { class: "notice bad" }, text)]); // announced once
  }

  sampling.addEventListener("sample", show, { signal });
  sampling.addEventListener("failed", warn, { signal });
  show();
  if (isStale()) warn();
}

function figures(pairs) {
  return h("dl", { class: "figures" }, pairs.map(([name, value, bad]) =>
    h("div", { class: bad ? "bad" : null }, h("dt", {}, name), h("dd", {}, String(value)))));
}

function openJobs(now) {
  const counts = PHASES.map((phase) => [phaseWord(phase), now.sum("jobs", { phase })]);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const history = samples.map((each) => PHASES.map((phase) => each.sum("jobs", { phase })));
  return card("Open jobs by phase",
    stacked(history, PHASES, PHASES.map(phaseWord), `${total} open now`),
    figures([...counts, ["oldest", age(now.sum("oldest_unfinished_job_age_seconds"))]]));
}

function finishedJobs(now) {
  const history = samples.map((each) =>
    ENDS.map((status) => growth(each, "jobs_finished_total", { status })));
  const counts = ENDS.map((status) => [stateWord(status), now.sum("jobs_finished_total", { status })]);
  return card("Jobs finished per 5 s",
    stacked(history, ENDS, ENDS.map(stateWord), "Newest on the right"), figures(counts));
}

function outcomeSources(now) {
  const ended = now.by("jobs_finished_total", "evidence");
  const all = ended.reduce((sum, [, count]) => sum + count, 0);
  const share = (name) => {
    const count = new Map(ended).get(name) ?? 0;
    return h("div", { class: "share" }, h("span", {}, `via ${name}`),
      h("meter", { min: 0, max: 1, value: all ? count / all : 0, "aria-label": `Outcomes via ${name}` }),
      h("span", { class: "number" }, `${count} of ${all}`));
  };
  return card("Source of outcomes", share("callback"), share("poll"),
    figures([
      ["callbacks received", now.sum("callbacks_total")],
      ...now.by("callbacks_total", "verdict").map(([verdict, count]) => [`… ${verdict}`, count]),
      ["status calls", now.sum("status_polls_total")],
    ]));
}

function provider(now) {
  const states = (now.series.get("receiver_provider_breaker") ?? []).filter(({ value }) => value === 1);
  const word = { closed: "Closed: calls are made", half_open: "Half open: probing", open: "Open: no calls" };
  const look = { closed: "completed", half_open: "in_progress", open: "failed" };
  const chips = states.map(({ labels: { provider: name, state } }) =>
    h("p", {}, `${name} `, chip(look[state] ?? state, word[state] ?? state)));
  const refused = now.sum("provider_credentials_refused") > 0;
  const paused = now.by("submissions_paused", "provider").filter(([, is]) => is > 0).map(([name]) => name);
  const inFlight = now.by("jobs_in_flight", "provider").map(([name, count]) => [`${name}: in flight`, count]);
  const waiting = now.by("jobs_waiting", "provider").map(([name, count]) => [`${name}: waiting`, count]);
  return card("Provider and breaker", chips,
    refused && h("p", { class: "notice bad" }, "The provider rejects our key."),
    paused.length > 0 && h("p", { class: "notice" },
      `Submissions pause, because the provider limits our rate: ${paused.join(", ")}.`),
    figures([
      ...inFlight, ...waiting,
      ...now.by("submissions_total", "outcome").map(([outcome, count]) => [`submission: ${outcome}`, count]),
      ...now.by("status_polls_total", "outcome").map(([outcome, count]) => [`poll: ${outcome}`, count]),
      ["sent, not confirmed", now.sum("submissions_unconfirmed"), now.sum("submissions_unconfirmed") > 0],
    ]));
}

function latency(now) {
  const within = (name) => {
    const seconds = quantile(now, name, 0.95);
    return seconds === null ? "–" : seconds === Infinity ? "off the scale" : `≤ ${fine(seconds)}`;
  };
  return card("Latency (95th percentile)",
    figures([
      ["callback answered", within("callback_acknowledgement_seconds")],
      ["event to stream", within("stream_lag_seconds")],
      ["commit", within("store_commit_seconds")],
      ["streams open", now.sum("streams_open")],
    ]));
}

function webhooks(now) {
  const backlog = samples.map((each) => [each.sum("relay_backlog")]);
  return card("Webhooks to users",
    stacked(backlog, ["backlog"], ["waiting"], `${now.sum("relay_backlog")} waiting`),
    figures([
      ["oldest waiting", age(now.sum("relay_oldest_age_seconds"))],
      ...now.by("relay_attempts_total", "outcome").map(([outcome, count]) => [`attempts: ${outcome}`, count]),
      ["attempts in the last minute", growth(now, "relay_attempts_total", {}, SAMPLES_A_MINUTE)],
      ["hosts held back", now.sum("relay_host_breakers_open"), now.sum("relay_host_breakers_open") > 0],
    ]));
}

function store(now) {
  const failures = now.sum("worker_failures_total");
  return card("Store and workers",
    figures([
      ["database", bytes(now.sum("database_size_bytes"))],
      ["write-ahead log", bytes(now.sum("wal_size_bytes"))],
      ["writes waiting", now.sum("store_queue_depth")],
      ["workers restarted", failures, failures > 0],
      ["logins refused", now.sum("logins_refused_total")],
    ]));
}

const age = (seconds) => (seconds > 0 ? duration(seconds * 1000) : "–");
const fine = (seconds) => duration(Math.max(1, Math.round(seconds * 1000)), true);
const bytes = (count) => `${(count / 1_048_576).toFixed(1)} MiB`;

/** A stacked bar for each sample since the page was opened. `history` has the counts of each. */
function stacked(history, names, words, summary) {
  const empty = Array.from({ length: MAX_SAMPLES - history.length }, () => names.map(() => 0));
  const all = [...empty, ...history];
  return bars({
    labels: all.map((_, index) => (index === MAX_SAMPLES - 1 ? "now" : `${(MAX_SAMPLES - 1 - index) * 5} s ago`)),
    series: names.map((name, place) => ({
      name: words[place], look: name.toLowerCase(), values: all.map((counts) => counts[place]),
    })),
    summary,
  });
}
