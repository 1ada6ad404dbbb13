// What happened to a job, oldest first. A cause (callback, poll, submission) and the change that it
// made are one entry, which expands to show what was received.

import { link } from "./address.js";
import { h } from "./dom.js";
import { jsonView } from "./json.js";
import { filesOf, MOST_SHOWN } from "./media.js";
import { between, clockTime, duration } from "./times.js";
import { chip, evidenceWord, phaseWord, stateWord } from "./words.js";

const CAUSES = new Set(["callback", "poll", "submission"]);
// The service shows no more of a callback's body than this.
const MOST_BYTES = 3072;
const MOST_CHARACTERS = 2048;
const VERDICT = {
  waiting: "stored, not applied yet",
  applied: "",
  claimed: "reports an outcome; a status call must confirm it",
  confirmed: "by a status call",
  denied: "by a status call",
  late: "the job was already finished",
  conflict: "it has the id of another job",
  rejected: "not a JSON object",
  failed: "it could not be applied",
};

/**
 * The timeline as an element, and a function that updates it to a newer history. `again(delivery)`
 * makes the button that sends a webhook again.
 */
export function timeline(again) {
  const list = h("ol", { class: "timeline" });
  let shown = [];
  function update(history) {
    const entries = folded(history);
    const keys = entries.map((entry) => JSON.stringify(entry));
    // Keep unchanged entries, which may be expanded or have the focus.
    const same = keys.findIndex((key, index) => key !== shown[index]);
    const kept = same === -1 ? keys.length : same;
    const focused = document.activeElement;
    const delivery = focused.closest(".timeline li")?.querySelector(".again > a")?.hash;
    while (list.children.length > kept) list.lastChild.remove();
    list.append(...entries.slice(kept).map((entry) => item(entry, again)));
    shown = keys;
    if (delivery && !focused.isConnected) {
      const link = list.querySelector(`.again > [href="${delivery}"]`);
      link?.parentNode.querySelector(focused.localName).focus({ preventScroll: true });
    }
  }
  return { element: list, update };
}

/** Turn the lines of a history into entries: `{at, sinceStart, gap, cause, before, event, isLast}`. */
function folded(history) {
  const entries = [];
  const lastAttempts = new Map();
  let job = null;
  for (const line of history) {
    const open = entries.at(-1);
    if (line.type !== "event") {
      entries.push({ at: line.at, cause: line });
      if (line.type === "relay") lastAttempts.set(line.delivery, entries.at(-1));
      continue;
    }
    if (open && CAUSES.has(open.cause?.type) && !open.event && causes(open.cause, line.job)) {
      Object.assign(open, { event: line.job, before: job });
    } else if (open && !open.cause && areAboutManyFiles(open.before, open.event, job, line.job)) {
      Object.assign(open, { at: line.at, event: line.job });
    } else {
      entries.push({ at: line.at, event: line.job, before: job, door: line.source });
    }
    job = line.job;
  }
  for (const entry of lastAttempts.values()) entry.isLast = true;
  entries.forEach((entry, index) => {
    entry.sinceStart = between(entries[0].at, entry.at);
    entry.gap = between(entries[Math.max(0, index - 1)].at, entry.at);
  });
  return entries;
}

// The step into `submitting` comes before a submission's answer, and changes by a cancel or a
// deadline have none of these causes.
function causes(cause, job) {
  return cause.type === "submission" ? job.phase !== "submitting"
    : job.evidence === "callback" || job.evidence === "poll";
}

function item(entry, again) {
  const { cause, event, before } = entry;
  const change = event && changed(before, event);
  const source = cause && described(cause, event?.provider);
  const isEnd = event?.done && !isAboutFiles(before, event);
  const look = [source?.kind ?? "event", isEnd && `end ${event.status.toLowerCase()}`];
  const [title, ...more] = change
    ? [change.title, change.more, source && joined(source.title, source.more)] : [source.title, source.more];
  return h("li", { class: look.filter(Boolean).join(" ") },
    clockTime(entry.at),
    h("span", { class: "gap", title: `${duration(entry.sinceStart, true)} after it was created` },
      `+${duration(entry.gap, true)}`),
    h("div", {},
      isEnd ? chip(event.status) : h("strong", {}, title),
      more.filter(Boolean).map((each) => h("small", {}, each)),
      entry.door && h("small", {}, entry.door === "api" ? "by POST /v1/jobs" : `by the API of ${entry.door}`),
      cause?.type === "relay" && entry.isLast && h("span", { class: "again" },
        h("a", { href: link(`/deliveries/${encodeURIComponent(cause.delivery)}`) }, "Open the delivery"),
        again(cause.delivery)),
      cause && cause.type !== "relay" && rawData(cause)));
}

const joined = (...texts) => texts.filter(Boolean).join(" · ");

/** What was received, collapsed. It is rendered only when expanded: a history can be long. */
function rawData({ body, ...line }) {
  const isCallback = line.type === "callback";
  if (isCallback && body == null) return null;
  const isCut = isCallback
    && (line.bytes > MOST_BYTES || (body.length < line.bytes && body.length >= MOST_CHARACTERS));
  const summary = isCallback ? `Body, ${line.bytes} bytes${isCut ? ", truncated" : ""}` : "Details";
  const details = h("details", { toggle: fill }, h("summary", {}, summary));
  function fill() {
    if (details.open && details.childElementCount === 1) {
      details.append(jsonView(isCallback ? body : line, summary));
    }
  }
  return details;
}

/** A history line other than an event, as text. */
function described(line, provider = "the provider") {
  switch (line.type) {
    case "callback": {
      const unconfirmed = line.confirmed === false && line.verdict === "applied";
      const meaning = unconfirmed ? "accepted without confirmation by a status call" : VERDICT[line.verdict];
      return { kind: "callback", title: `Callback: ${line.verdict}`,
        more: joined(line.verified && "signed by the provider", meaning) };
    }
    case "poll":
      return { kind: "poll", title: `Poll: ${line.status ?? line.outcome ?? "answered"}`,
        more: others(line, "status", "outcome", line.provider_status === line.status && "provider_status") };
    case "submission":
      return { kind: "submission", title: `Submission: ${line.outcome}`,
        more: joined(waited(line.waited, provider), others(line, "outcome", "waited")) };
    case "relay": {
      const good = line.status_code >= 200 && line.status_code < 300;
      return { kind: good ? "relay" : "relay bad", title: `Webhook: ${good ? "delivered" : "not delivered"}`,
        more: `${line.error ?? line.status_code}, took ${duration(line.duration_ms, true)}` };
    }
    default:
      return { kind: "note", title: line.type.replaceAll("_", " "), more: others(line) };
  }
}

const REASON = {
  pause: () => "the end of a pause",
  place: (provider) => `a free place at ${provider}`,
  turn: () => "its turn to be sent",
};

/** What a job had waited for before its submission, as text. */
const waited = (found, provider) => found
  && `waited ${duration(found.seconds * 1000, true)} for ${REASON[found.reason](provider)}`;

// After the end, an event with the same status is about the archived files.
const isAboutFiles = (before, job) => Boolean(before?.done && before.status === job.status);

/** Whether two changes after each other are about the files of a result that has many: one entry. */
const areAboutManyFiles = (before, job, ...next) =>
  job.archive?.length > MOST_SHOWN && isAboutFiles(before, job) && isAboutFiles(...next);

function changed(before, job) {
  if (!before) return { title: "Submitted", more: "stored; not sent to the provider yet" };
  if (isAboutFiles(before, job)) return { title: "Files", more: filesOf(job.archive) };
  if (job.done) {
    const reported = job.evidence && evidenceWord(job.evidence);
    return { title: stateWord(job.status), more: job.error?.message ?? reported };
  }
  const phase = before.phase !== job.phase && phaseWord(job.phase);
  const progress = before.progress !== job.progress && `${job.progress} %`;
  const title = [phase, progress].filter(Boolean).join(", ") || "changed";
  return { title: title[0].toUpperCase() + title.slice(1) };
}

/** The members of a line that are not `shown` elsewhere, as text. */
function others(line, ...shown) {
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : value);
  const isShown = (name) => ["at", "type", ...shown].includes(name);
  return Object.entries(line).filter(([name, value]) => value != null && !isShown(name))
    .map(([name, value]) => `${name}: ${text(value)}`).join(", ");
}
