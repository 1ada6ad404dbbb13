// One job: its state, its result, and everything that happened to it.

import { backLink, link } from "./address.js";
import { cancelJob, sendAgain, submitAgain } from "./actions.js";
import { jobAdvice } from "./advice.js";
import { get, getExactly } from "./api.js";
import { announce, copyable, factList, failure, h, hide, main, once, placeholder, refill } from "./dom.js";
import { jsonView } from "./json.js";
import { follow, live, storeJob } from "./live.js";
import { filesOf, player, sourcesOf } from "./media.js";
import { costText } from "./money.js";
import { waitingFacts } from "./places.js";
import { repeat } from "./repeat.js";
import { timeline } from "./timeline.js";
import { age, between, DAY, duration, exactTime, now, zone } from "./times.js";
import { chip, evidenceWord, phaseWord, progressBar, stateWord, titleOf } from "./words.js";

const REFRESH = 5000;
/** So long after the job's end, only attempts of webhooks follow, with growing gaps. */
const REFRESH_DONE = 30_000;
/** A job that is gone does not come back. */
const GONE = 3_600_000;

/** Show the job `id` until `signal`; resolves when it is shown. */
export function showJob(user, signal, id) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  const head = h("div", {}, h("h1", {}, "Job"), placeholder("Loading…"));
  const result = h("div");
  const facts = h("div");
  const given = h("div");
  const json = h("div");
  const raw = h("details", { toggle: drawJson }, h("summary", {}, "As JSON"), json);
  const webhooks = h("a", {}, "Webhooks of this job");
  const refresh = repeat({ signal, period: REFRESH, read, failed });
  const line = timeline((delivery) => sendAgain(delivery, signal, () => refresh.soon(150)));
  const trouble = h("div");
  const body = h("div", { class: "split", hidden: true },
    h("section", { "aria-label": "Result and facts" }, result, facts, given, raw),
    h("section", { "aria-label": "Timeline" },
      h("div", { class: "title" }, h("h2", {}, "Timeline"), h("small", {}, zone), webhooks),
      line.element, trouble));
  const update = heading(user, signal);
  let shown = null;
  let shownResult = null;
  let input;
  let waits = {};

  main.replaceChildren(h("p", {}, backLink("/", "← Jobs")), head, body);

  async function read(current) {
    if (shown === null) {
      const { waiting, ...job } = await getExactly(path, current);
      ({ input } = job);
      await readPlace(waiting, job, current);
      if (input) given.append(h("details", {}, h("summary", {}, "Input"), jsonView(input, "the input")));
      // An admin may open another user's job: follow that user's stream.
      follow(user.admin ? job.user : null);
      storeJob(job);
      show(job);
    } else if (!shown.done) {
      // Why it waits changes without an event.
      const job = await get(path, current);
      await readPlace(job.waiting, job, current);
      show(shown);
    }
    // Repeated, since attempts of webhooks and callbacks without effect make no event.
    const { history } = await get(`${path}/history`, current);
    line.update(history);
    trouble.replaceChildren();
    // A change that the stream missed while it was disconnected.
    const newest = history.findLast(({ type }) => type === "event")?.job;
    if (newest?.seq > shown.seq) storeJob(newest);
    return shown.done && now() > Date.parse(shown.done_at) + REFRESH_DONE ? REFRESH_DONE : REFRESH;
  }

  async function readPlace(waiting, { phase, provider }, current) {
    const places = waiting ? (await get("/v1/places", current)).places : [];
    waits = { phase, waiting, place: places.find((each) => each.provider === provider) };
  }

  function failed(error) {
    if (error.isGone) {
      body.hidden = true;
      head.replaceChildren(h("h1", {}, "Job"),
        placeholder("No such job", "It may have been removed, or it belongs to another user."));
      return GONE;
    }
    // Keep a timeline that is already shown: it is out of date, but not wrong.
    if (line.element.hasChildNodes()) return shown.done ? REFRESH_DONE : REFRESH;
    const reason = failure(error, refresh.now);
    if (shown) refill(trouble, [reason]);
    else refill(head, [h("h1", {}, "Job"), reason]);
    return REFRESH;
  }

  function show(job) {
    shown = job;
    body.hidden = false;
    document.title = `${titleOf(job)} · receiver`;
    const whole = { ...job, input };
    update(whole, head);
    refill(facts, factsOf(whole, user, job.phase === waits.phase ? waits : {}));
    webhooks.href = link("/deliveries", { request_id: id, user: user.admin ? job.user : null });
    drawJson();
    // Replaced only if it changed, so that a playing video continues.
    const sources = sourcesOf(job);
    const drawn = JSON.stringify(sources.length > 0 ? sources : job.result);
    if (drawn !== shownResult) result.replaceChildren(resultOf(job, sources));
    shownResult = drawn;
  }

  function drawJson() {
    const old = json.querySelector("pre");
    const [isFocused, top] = [old !== null && old === document.activeElement, old?.scrollTop ?? 0];
    json.replaceChildren(raw.open ? jsonView({ ...shown, input }, "the job as JSON") : "");
    const pre = json.querySelector("pre");
    if (pre) pre.scrollTop = top;
    if (isFocused) pre?.focus({ preventScroll: true });
  }

  live.addEventListener("job", ({ detail: { job, known } }) => {
    if (job.request_id !== id || shown === null) return;
    show(job);
    if (known && known.status !== job.status) announce(`Now ${stateWord(job.status)}`);
    refresh.soon(150);
  }, { signal });
  return refresh.now();
}

const INPUT_NOT_KEPT = "The input is not kept: it was over 64 KiB, and the provider never accepted the job.";

/** The heading. Its elements are reused when the job changes, to keep the focus. */
function heading(user, signal) {
  let job = null;
  const title = h("h1");
  const state = h("span");
  const cancel = h("button", { type: "button", click: () => cancelJob(job, signal) }, "Cancel");
  const again = h("button", { type: "button", click: () => once(again, () => submitAgain(job, signal)) },
    "Submit again");
  const id = h("p", { class: "hint" });
  const progress = h("div");
  const parts = [h("div", { class: "title" }, title, state, h("span", { class: "tools" }, again, cancel)),
    id, progress];
  return (newer, head) => {
    if (job === null) id.replaceChildren(copyable(newer.request_id, "the job's id"));
    job = newer;
    if (parts[0].parentNode !== head) head.replaceChildren(...parts);
    const own = job.user === user.name;
    title.textContent = titleOf(job);
    state.replaceChildren(chip(job.status));
    hide(cancel, job.done || !own);
    again.hidden = !job.done || !own || !job.input;
    progress.replaceChildren(job.done ? "" : progressBar(job), job.error ? reason(job.error) : "",
      job.input === null ? h("p", { class: "hint" }, INPUT_NOT_KEPT) : "");
  };
}

/** The result's media; if it has none, its text. */
function resultOf(job, sources) {
  if (sources.length > 0) return player(sources);
  return job.result ? jsonView(job.result, "the result") : "";
}

function reason(error) {
  return h("p", { class: error.code === "canceled_by_user" ? "notice" : "notice bad" }, h("strong", {}, error.message), " ", h("code", {}, error.code),
    error.may_have_been_billed && " It may have been billed.",
    error.retryable && " It can be submitted again without paying twice.",
    jobAdvice(error) && ` ${jobAdvice(error)}`);
}

/** The provider's word for the job's status, with an explanation if it contradicts ours. */
function statusOf({ provider_status: status, error }) {
  if (status !== "COMPLETED" || error?.code !== "provider_failed") return status;
  return [status, " ", h("small", {}, "The provider says so of every job that has ended, also of one that failed.")];
}

function factsOf(job, user, { waiting, place }) {
  const took = job.done_at && duration(between(job.created_at, job.done_at), true);
  const isKept = job.archive?.some(({ state: fileState }) => fileState === "stored");
  const groups = {
    State: [
      ["Phase", phaseWord(job.phase)],
      ...waitingFacts(waiting, place),
      ["Last update", evidenceWord(job.evidence)],
      ["Message", job.message],
      ["Provider's status", statusOf(job)],
      ["Cost", job.cost && costText(job.cost)],
    ],
    Times: [
      ["Created", age(job.created_at)],
      ["Updated", age(job.updated_at)],
      ["Finished", job.done_at && exactTime(job.done_at)],
      ["Took", took],
      ["Archived files", filesOf(job.archive)],
      ["Kept until", isKept && exactTime(Date.parse(job.done_at) + user.retentionDays * DAY)],
    ],
    Provider: [
      ["Name", h("a", { href: link("/", { provider: job.provider }) }, job.provider)],
      ["Kind", h("a", { href: link("/", { kind: job.kind }) }, job.kind)],
      ["Job id", job.provider_request_id && copyable(job.provider_request_id, "the provider's id")],
    ],
    Metadata: [["User", job.user], ...Object.entries(job.metadata)],
  };
  return Object.entries(groups).map(([name, pairs]) =>
    h("section", { class: "facts" }, h("h2", {}, name), factList(pairs)));
}
