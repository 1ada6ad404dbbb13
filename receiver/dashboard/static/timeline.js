// What happened to a job, oldest first. A cause (callback, poll, submission) and the change that it
// made are one entry, which expands to show what was received.

import { link } from "./address.js";
import { h } from "./dom.js";
import { jsonView } from "./json.js";
import { filesOf } from "./media.js";
import { clockTime, duration } from "./times.js";
import { chip, evidenceWord, phaseWord, statusWord } from "./words.js";

const CAUSES = new Set(["callback", "poll", "submission"]);
const VERDICT = {
  waiting: "stored, not applied yet",
  applied: "applied",
  claimed: "reports an outcome; a status call must confirm it",
  confirmed: "confirmed by a status call",
  denied: "denied by a status call",
  late: "late: the job was already finished",
  conflict: "has the id of another job",
  rejected: "rejected: not a JSON object",
  failed: "could not be applied",
};

/** The timeline as an element, and a function that updates it to a newer history. */
export function timeline(again) {
  const list = h("ol", { class: "timeline" });
  let shown = [];
  function update(history) {
    const entries = folded(history);
    const keys = entries.map((entry) => JSON.stringify(entry));
    // Keep unchanged entries, which may be expanded or have the focus.
    const same = keys.findIndex((key, index) => key !== shown[index]);
    const kept = same === -1 ? keys.length : same;
    while (list.children.length > kept) list.lastChild.remove();
    list.append(...entries.slice(kept).map((entry) => item(entry, again)));
    shown = keys;
  }
  return { element: list, update };
}

/** Turn the lines of a history into entries: `{at, sinceStart, gap, cause, before, event, last}`. */
function folded(history) {
  const start = Date.parse(history[0]?.at);
  const lastAttempt = new Map(history.filter((line) => line.type === "relay")
    .map((line, index) => [line.delivery, index]));
  const entries = [];
  let job = null;
  let attempt = 0;
  for (const line of history) {
    const open = entries.at(-1);
    if (line.type === "event") {
      if (open && CAUSES.has(open.cause?.type) && !open.event && causes(open.cause, line.job)) {
        Object.assign(open, { event: line.job, before: job });
      } else {
        entries.push({ at: line.at, event: line.job, before: job });
      }
      job = line.job;
    } else {
      entries.push({ at: line.at, cause: line });
      if (line.type === "relay") entries.at(-1).last = lastAttempt.get(line.delivery) === attempt++;
    }
  }
  let before = start;
  for (const entry of entries) {
    const at = Date.parse(entry.at);
    Object.assign(entry, { sinceStart: at - start, gap: at - before });
    before = at;
  }
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
  const change = event ? changes(before, event) : null;
  const source = cause && described(cause);
  const done = event?.done && !isFiles(before, event);
  const kind = [source?.kind ?? "event", done && `end ${event.status.toLowerCase()}`].filter(Boolean);
  const gap = h("span", { class: "gap", title: `${duration(entry.sinceStart, true)} after it was created` },
    `+${duration(entry.gap, true)}`);
  const title = change ? change.title : source.title;
  const small = [change?.more, change && source ? [source.title, source.more].filter(Boolean).join(" · ") : source?.more];
  return h("li", { class: kind.join(" ") }, clockTime(entry.at), gap,
    h("div", {},
      done ? chip(event.status) : h("strong", {}, title),
      small.filter(Boolean).map((each) => h("small", {}, each)),
      cause?.type === "relay" && entry.last && h("span", { class: "again" },
        h("a", { href: link(`/deliveries/${encodeURIComponent(cause.delivery)}`) }, "Open the delivery"),
        again(cause.delivery)),
      cause && cause.type !== "relay" && opened(cause)));
}

function opened(cause) {
  const { body, ...rest } = cause;
  const isCallback = cause.type === "callback";
  const cut = isCallback && body != null && body.length < cause.bytes && body.length >= 2048;
  const summary = isCallback ? `Body, ${cause.bytes} bytes${cut ? ", truncated" : ""}` : "Details";
  if (isCallback && body == null) return null;
  // Rendered when it is expanded, because a history can be long.
  const details = h("details", { toggle: fill }, h("summary", {}, summary));
  function fill() {
    if (details.open && details.childElementCount === 1) {
      details.append(jsonView(isCallback ? body : rest, summary));
    }
  }
  return details;
}

/** A history line other than an event, as text. */
function described(line) {
  switch (line.type) {
    case "callback": {
      const believed = line.confirmed === false && line.verdict === "applied";
      const verified = line.verified ? "signed by the provider; " : "";
      return { kind: "callback", title: `Callback: ${line.verdict}`,
        more: line.verdict === "applied" && !believed ? verified
          : verified + (believed ? "accepted without confirmation by a status call" : VERDICT[line.verdict]) };
    }
    case "poll":
      return { kind: "poll", title: `Poll: ${line.status ?? line.outcome ?? "answered"}`,
        more: rest(line, "status", "outcome", line.provider_status === line.status && "provider_status") };
    case "submission":
      return { kind: "submission", title: `Submission: ${line.outcome}`, more: rest(line, "outcome") };
    case "relay": {
      const good = line.status_code >= 200 && line.status_code < 300;
      return { kind: good ? "relay" : "relay bad", title: `Webhook: ${good ? "delivered" : "not delivered"}`,
        more: `${line.error ?? line.status_code}, took ${duration(line.duration_ms, true)}` };
    }
    default:
      return { kind: "note", title: line.type.replaceAll("_", " "), more: rest(line) };
  }
}

// After the end, an event with the same status is about the result's archived files.
const isFiles = (before, job) => Boolean(before?.done && before.status === job.status);

function changes(before, job) {
  if (!before) return { title: "Submitted", more: "stored; not sent to the provider yet" };
  const known = job.evidence && evidenceWord(job.evidence);
  if (isFiles(before, job)) return { title: "Files", more: filesOf(job.archive) };
  if (job.done) return { title: statusWord(job.status), more: job.error?.message ?? known };
  const moved = before.phase !== job.phase && phaseWord(job.phase);
  const progress = before.progress !== job.progress && `${job.progress} %`;
  const title = [moved, progress].filter(Boolean).join(", ") || "changed";
  return { title: title[0].toUpperCase() + title.slice(1), more: null };
}

function rest(line, ...shown) {
  const names = Object.keys(line).filter((name) => !["at", "type", ...shown].includes(name));
  return names.filter((name) => line[name] != null)
    .map((name) => `${name}: ${typeof line[name] === "object" ? JSON.stringify(line[name]) : line[name]}`)
    .join(", ");
}
