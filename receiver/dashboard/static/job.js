// One job: its state, its result, and everything that happened to it.

import { goUp, link, up } from "./address.js";
import { cancelJob, sendAgain, submitAgain } from "./actions.js";
import { get } from "./api.js";
import { announce, copied, face, factList, failure, h, main } from "./dom.js";
import { jsonView } from "./json.js";
import { connection, follow, jobs, live, put } from "./live.js";
import { filesOf, mediaOf, player } from "./media.js";
import { timeline } from "./timeline.js";
import { age, between, DAY, duration, exactTime } from "./times.js";
import { chip, evidenceWord, kindWord, phaseWord, progressBar, statusWord, titleOf } from "./words.js";

const REFRESH = 5000;

/** Show the job `id` until `signal`; resolves when it is shown. */
export function showJob(user, signal, id) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  const head = h("div", {}, h("h1", {}, "Job"), face("Loading…"));
  const result = h("div", {});
  const facts = h("div", {});
  const given = h("div", {});
  const raw = h("div", {});
  const line = timeline((delivery) => sendAgain(delivery, signal, soon));
  const trouble = h("div", {});
  const body = h("div", { class: "split", hidden: true },
    h("section", { "aria-label": "Result and facts" }, result, facts, given,
      h("details", {}, h("summary", {}, "As JSON"), raw)),
    h("section", { "aria-label": "Timeline" }, h("h2", {}, "Timeline"), line.element, trouble));
  const update = heading(user, signal);
  let input;
  let shownResult = null;
  let pause = 0;
  let failed = false;

  main.replaceChildren(h("p", {}, h("a", { href: up("/"), click: goUp }, "← Jobs")), head, body);

  function show(job) {
    body.hidden = false;
    const whole = { ...job, input };
    update(whole, head);
    facts.replaceChildren(...factsOf(whole, user));
    raw.replaceChildren(jsonView(job, "the job as JSON"));
    // Replaced only if it changed, so that a playing video continues.
    const links = JSON.stringify([job.result, job.archive]);
    if (links !== shownResult) result.replaceChildren(mediaOf(job).length > 0 ? player(job) : "");
    shownResult = links;
  }

  async function load() {
    try {
      const job = await get(path);
      if (signal.aborted) return;
      // An admin may open another user's job; follow that user's stream.
      if (user.admin) follow(job.user);
      else follow(null);
      failed = false;
      if (input === undefined && job.input) {
        given.replaceChildren(h("details", {}, h("summary", {}, "Input"), jsonView(job.input, "the input")));
      }
      ({ input } = job);
      put(job);
      show(jobs.get(id) ?? job);
      await loadHistory();
    } catch (error) {
      if (signal.aborted) return;
      failed = true;
      body.hidden = true;
      head.replaceChildren(h("h1", {}, "Job"), error.status === 404
        ? face("No such job", "It may have been removed, or it belongs to another user.")
        : failure(error, load));
    }
  }

  async function loadHistory() {
    clearTimeout(pause);
    try {
      const { history } = await get(`${path}/history`);
      if (signal.aborted) return;
      line.update(history);
      trouble.replaceChildren();
    } catch (error) {
      if (signal.aborted) return;
      // Keep what is already shown: it is out of date, but not wrong.
      if (line.element.childElementCount === 0) trouble.replaceChildren(failure(error, loadHistory));
    }
    // Polled, since delivery attempts and callbacks without effect make no event.
    pause = setTimeout(loadHistory, REFRESH);
  }

  function soon() {
    clearTimeout(pause);
    pause = setTimeout(loadHistory, 150);
  }

  live.addEventListener("job", ({ detail: { job, known } }) => {
    if (job.request_id !== id || failed) return;
    show(job);
    if (known && known.status !== job.status) announce(`Now ${statusWord(job.status)}`);
    soon();
  }, { signal });
  live.addEventListener("snapshot", load, { signal });
  live.addEventListener("connection", () => {
    if (failed && connection.state === "live") load();
  }, { signal });
  signal.addEventListener("abort", () => clearTimeout(pause));
  return load();
}

/** The heading. Its elements are reused when the job changes, to keep the focus. */
function heading(user, signal) {
  let job = null;
  const title = h("h1");
  const state = h("span");
  const cancel = h("button", { type: "button", click: () => cancelJob(job, signal) }, "Cancel");
  const again = h("button", { type: "button", click: () => submitAgain(job, signal) }, "Submit again");
  const id = h("p", { class: "hint" });
  const progress = h("div");
  const parts = [h("div", { class: "title" }, title, state, h("span", { class: "tools" }, again, cancel)),
    id, progress];
  return (newer, head) => {
    if (job === null) id.replaceChildren(copied(newer.request_id, "the job's id"));
    job = newer;
    if (parts[0].parentNode !== head) head.replaceChildren(...parts);
    const own = job.user === user.name;
    title.textContent = titleOf(job);
    state.replaceChildren(chip(job.status));
    cancel.hidden = job.done || !own;
    again.hidden = !job.done || !own || !job.input;
    progress.replaceChildren(job.done ? "" : progressBar(job), job.error ? reason(job.error) : "");
  };
}

function reason(error) {
  return h("p", { class: "notice bad" }, h("strong", {}, error.message), " ", h("code", {}, error.code),
    error.may_have_been_billed && " It may have been billed.",
    error.retryable && " It can be submitted again without paying twice.");
}

function factsOf(job, user) {
  const took = job.done_at && duration(between(job.created_at, job.done_at), true);
  const isKept = job.archive?.some(({ state: fileState }) => fileState === "stored");
  const groups = {
    State: [
      ["Phase", phaseWord(job.phase)],
      ["Source", evidenceWord(job.evidence)],
      ["Message", job.message],
      ["Provider's status", job.provider_status],
    ],
    Times: [
      ["Created", age(job.created_at)],
      ["Updated", age(job.updated_at)],
      ["Finished", job.done_at && exactTime(job.done_at)],
      ["Took", took],
      ["Archived files", filesOf(job.archive)],
      ["Kept until", isKept && exactTime(new Date(Date.parse(job.done_at) + user.retentionDays * DAY).toISOString())],
    ],
    Provider: [
      ["Name", h("a", { href: link("/", { provider: job.provider }) }, job.provider)],
      ["Kind", h("a", { href: link("/", { kind: job.kind }) }, kindWord(job.kind))],
      ["Job id", job.provider_request_id && copied(job.provider_request_id, "the provider's id")],
    ],
    Metadata: [["User", job.user], ...Object.entries(job.metadata)],
  };
  return Object.entries(groups).map(([name, pairs]) =>
    h("section", { class: "facts" }, h("h2", {}, name), factList(pairs)));
}
