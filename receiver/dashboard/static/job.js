// One job: how it stands, its result, and everything that happened to it.

import { get, post } from "./api.js";
import {
  age, announce, chip, clockTime, duration, evidenceWord, face, failure, h, main, phaseWord,
  progressBar, statusWord, titleOf,
} from "./dom.js";
import { connection, follow, jobs, live, put } from "./live.js";

const REFRESH = 5000;

/** Show the job `id` until `signal`. */
export function showJob(user, signal, id) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  const head = h("div", {}, h("h1", {}, "Job"), face("Loading…"));
  const result = h("div", {});
  const facts = h("div", {});
  const timeline = h("div", {});
  const raw = h("pre", { tabindex: 0 });
  const details = h("details", {}, h("summary", {}, "As JSON"), raw);
  const body = h("div", { class: "split", hidden: true },
    h("section", { "aria-label": "Result and facts" }, result, facts, details),
    h("section", { "aria-label": "Time line" }, h("h2", {}, "Time line"), timeline));
  const update = heading(user, signal);
  let shownLink = null;
  let shownHistory = "";
  let pause = 0;
  let failed = false;

  main.replaceChildren(h("p", {}, h("a", { href: "#/" }, "← Jobs")), head, body);

  function show(job) {
    body.hidden = false;
    update(job, head);
    facts.replaceChildren(factsOf(job));
    raw.textContent = JSON.stringify(job, null, 2);
    // Shown once a link, so that what plays goes on playing.
    const link = job.result?.videoUrl ?? null;
    if (link !== shownLink) result.replaceChildren(link === null ? "" : player(link, `${path}/result`));
    shownLink = link;
  }

  async function load() {
    try {
      const job = await get(path);
      if (signal.aborted) return;
      const viewed = job.user === user.name ? null : job.user;
      if (viewed !== user.viewed) {
        // An admin opens somebody else's job: theirs are followed from here on.
        user.viewed = viewed;
        follow(viewed);
      }
      failed = false;
      put(job);
      show(jobs.get(id) ?? job);
      loadHistory();
    } catch (error) {
      if (signal.aborted) return;
      failed = true;
      body.hidden = true;
      head.replaceChildren(h("h1", {}, "Job"), error.status === 404
        ? face("No such job", "It may have been removed, or be another user's.")
        : failure(error, load));
    }
  }

  async function loadHistory() {
    clearTimeout(pause);
    try {
      const { history } = await get(`${path}/history`);
      const text = JSON.stringify(history);
      if (!signal.aborted && text !== shownHistory) timeline.replaceChildren(timelineOf(history));
      shownHistory = text;
    } catch (error) {
      // What is shown already stays: it is old, and not wrong.
      const empty = timeline.childElementCount === 0;
      if (!signal.aborted && empty) timeline.replaceChildren(failure(error, loadHistory));
    }
    // Some lines come without an event: attempts to deliver, callbacks that change nothing.
    if (!signal.aborted) pause = setTimeout(loadHistory, REFRESH);
  }

  live.addEventListener("job", ({ detail: { job, known } }) => {
    if (job.request_id !== id) return;
    show(job);
    if (known && known.status !== job.status) announce(`Now ${statusWord(job.status)}`);
    clearTimeout(pause);
    pause = setTimeout(loadHistory, 150);
  }, { signal });
  live.addEventListener("snapshot", load, { signal });
  live.addEventListener("connection", () => {
    if (failed && connection.state === "live") load();
  }, { signal });
  signal.addEventListener("abort", () => clearTimeout(pause));
  load();
}

/** The upper part; its elements stay when the job changes, and so does the focus. */
function heading(user, signal) {
  let job = null;
  const title = h("h1");
  const state = h("span");
  const button = h("button", { type: "button", click: () => cancel(job, signal) }, "Cancel");
  const id = h("code");
  const progress = h("div");
  const parts = [h("div", { class: "title" }, title, state, button),
    h("p", { class: "hint" }, id), progress];
  return (newer, head) => {
    job = newer;
    if (parts[0].parentNode !== head) head.replaceChildren(...parts);
    title.textContent = titleOf(job);
    state.replaceChildren(chip(job.status));
    button.hidden = job.done || job.user !== user.name;
    id.textContent = job.request_id;
    progress.replaceChildren(progressBar(job), job.error ? reason(job.error) : "");
  };
}

function reason(error) {
  return h("p", { class: "notice bad" }, h("strong", {}, error.message), " ", h("code", {}, error.code),
    error.may_have_been_billed && " It may have been billed.",
    error.retryable && " It can be submitted again without paying twice.");
}

function factsOf(job) {
  const facts = [
    ["Phase", phaseWord(job.phase)],
    ["Known", evidenceWord(job.evidence)],
    ["Message", job.message],
    ["Provider says", job.provider_status],
    ["Kind", job.kind],
    ["User", job.user],
    ["Provider", job.provider],
    ["Provider's id", job.provider_request_id],
    ["Created", age(job.created_at)],
    ["Updated", age(job.updated_at)],
    ["Took", job.done_at && duration(Date.parse(job.done_at) - Date.parse(job.created_at), true)],
    ...Object.entries(job.metadata).map(([name, value]) => [`metadata: ${name}`, value]),
  ];
  return h("dl", {}, facts.filter(([, value]) => value).map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** The result, through our own address for it, which renews links that have grown old. */
function player(link, address) {
  const open = h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "Open the result");
  const sorry = () => media.replaceWith(h("p", { class: "notice" }, "It cannot be shown here."));
  const picture = /\.(svg|png|jpe?g|gif|webp|avif)([?#]|$)/i.test(link);
  const media = picture
    ? h("img", { src: address, alt: "The result", class: "result", error: sorry })
    : h("video", { src: address, controls: true, playsinline: true, class: "result", error: sorry });
  return h("figure", {}, media, h("figcaption", {}, open));
}

function cancel(job, signal) {
  const problem = h("div", {});
  const dialog = h("dialog", { "aria-labelledby": "cancel-title", close: () => dialog.remove() },
    h("h2", { id: "cancel-title" }, "Cancel this job?"),
    h("p", {}, "It ends for you at once. If it was sent already, the provider goes on and may bill it."),
    problem,
    h("p", { class: "actions" },
      h("button", { type: "button", class: "danger", click: confirm }, "Cancel the job"),
      h("button", { type: "button", click: () => dialog.close() }, "Keep it")));

  async function confirm() {
    try {
      put(await post(job.links.cancel));
      dialog.close();
    } catch (error) {
      problem.replaceChildren(failure(error));
    }
  }

  signal.addEventListener("abort", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

// --- the time line -------------------------------------------------------------------------------

function timelineOf(history) {
  const start = Date.parse(history[0]?.at);
  const lastAttempt = new Map(history.filter((line) => line.type === "relay")
    .map((line) => [line.delivery, line]));
  let before = start;
  let job = null;
  const entries = history.map((line) => {
    const at = Date.parse(line.at);
    const [kind, title, more] = tell(line, job);
    const gap = h("span", { class: "gap", title: `${duration(at - start, true)} after it was created` },
      `+${duration(at - before, true)}`);
    before = at;
    if (line.type === "event") job = line.job;
    const again = lastAttempt.get(line.delivery) === line && sendAgain(line.delivery);
    return h("li", { class: kind }, clockTime(line.at), gap,
      h("div", {}, h("strong", {}, title), more && h("small", {}, more), again));
  });
  return h("ol", { class: "timeline" }, entries);
}

const VERDICT = {
  waiting: "stored, not applied yet",
  applied: "",
  claimed: "claims an end; a status call has to confirm it",
  confirmed: "its claim was confirmed by a status call",
  denied: "its claim was denied by a status call",
  late: "late: the job was finished",
  conflict: "names another job of the provider",
  rejected: "rejected: no JSON object",
  failed: "could not be applied",
};

/** A line of the history as [class, title, more]. */
function tell(line, before) {
  switch (line.type) {
    case "event":
      return ["event", ...changes(before, line.job)];
    case "callback": {
      const believed = line.confirmed === false && line.verdict === "applied";
      return ["callback", `Callback: ${line.verdict}`,
        believed ? "believed without a status call's word" : VERDICT[line.verdict]];
    }
    case "poll":
      return ["poll", `Poll: ${line.status ?? line.outcome ?? "answered"}`, rest(line, "status", "outcome")];
    case "submission":
      return ["submission", `Submission: ${line.outcome}`, rest(line, "outcome")];
    case "relay": {
      const answer = line.error ?? line.status_code;
      const good = line.status_code >= 200 && line.status_code < 300;
      return [good ? "relay" : "relay bad", `Webhook: ${good ? "delivered" : "not delivered"}`,
        `${answer}, took ${duration(line.duration_ms, true)}`];
    }
    default:
      return ["note", line.type, rest(line)];
  }
}

function changes(before, job) {
  if (!before) return ["Submitted", "on disk; the provider has not heard of it"];
  if (job.done) {
    return [statusWord(job.status), job.error?.message ?? `known ${evidenceWord(job.evidence)}`];
  }
  const moved = before.phase !== job.phase && phaseWord(job.phase);
  const progress = before.progress !== job.progress && `${job.progress} %`;
  const title = [moved, progress].filter(Boolean).join(", ") || "changed";
  return [title[0].toUpperCase() + title.slice(1),
    job.evidence && `known ${evidenceWord(job.evidence)}`];
}

function rest(line, ...told) {
  const names = Object.keys(line).filter((name) => !["at", "type", ...told].includes(name));
  return names.filter((name) => line[name] != null)
    .map((name) => `${name}: ${typeof line[name] === "object" ? JSON.stringify(line[name]) : line[name]}`)
    .join(", ");
}

/** A button that sends a delivery once more. */
export function sendAgain(delivery, done = () => {}) {
  const button = h("button", { type: "button", class: "small", click: send }, "Send again");
  const words = h("small", { role: "status" });
  async function send() {
    button.disabled = true;
    try {
      await post(`/v1/deliveries/${encodeURIComponent(delivery)}/retry`);
      words.textContent = " It is on its way.";
      done();
    } catch (error) {
      words.textContent = ` ${error.message}`;
      button.disabled = false;
    }
  }
  return h("span", { class: "again" }, button, words);
}
