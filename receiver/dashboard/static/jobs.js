// The live list of jobs, with filters and search.

import { link, remembered, rememberRows } from "./address.js";
import { get, withQuery } from "./api.js";
import { announce, arrange, columnHeads, failure, h, hide, main, placeholder, refill } from "./dom.js";
import { filters, isId, jobsToolbar, matcher, queryOf } from "./filters.js";
import { connection, EVERYBODY, follow, jobs, live, pin, storeJob } from "./live.js";
import { thumbnail } from "./media.js";
import { costText } from "./money.js";
import { abortPrevious } from "./repeat.js";
import { isEverybodys, scopeOf } from "./scope.js";
import { age, between, duration } from "./times.js";
import { chip, evidenceWord, phaseWord, progressBar, stateWord, titleOf } from "./words.js";

const COLUMNS = ["", "Job", "State", "Progress", "Last update", "Created"];
const PAGE = 50;
const LARGEST_PAGE = 200;
const MOST_PAGES = 5;
/** Milliseconds between two paints for updates: each sorts all known jobs. */
const PAINT_PAUSE = 200;

/** Show the list until `signal`; resolves when the first rows are shown. */
export function showJobs(user, signal) {
  const list = h("ul", { class: "rows", "aria-label": "Jobs" });
  const note = h("div", { "aria-live": "polite" });
  const more = h("button", { type: "button", hidden: true, click: older }, "Show older");
  const nextLoad = abortPrevious(signal);
  let rows = new Map();
  let chosen = filters();
  let cursor = null;
  // Known jobs older than the loaded pages are hidden, because the list would have gaps.
  let oldest = "";
  /** How many rows are shown at most: new jobs on a busy day must not make the page slow. */
  let most = LARGEST_PAGE;
  /** Whether there were more rows than that; the cache may have dropped them since. */
  let isCut = false;
  let painted = 0;
  let timer = 0;
  /** The promise of the newest load, while it is under way. */
  let loading = null;
  let failed = null;

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Jobs"),
      h("a", { class: "button primary", href: link("/new") }, "New job")),
    jobsToolbar(user, filtered, signal),
    columnHeads("job", COLUMNS), list, note, h("p", {}, more),
  );

  function filtered() {
    chosen = filters();
    follow(scopeOf(user));
    begin();
  }

  /** Load the newest rows, at least as many as were shown. */
  function begin(wanted = PAGE) {
    cursor = null;
    oldest = "";
    isCut = false;
    most = Math.max(LARGEST_PAGE, wanted);
    more.ariaDisabled = "true"; // unlike `disabled`, this leaves the focus there
    paint();
    return load(Math.max(PAGE, wanted));
  }

  function older() {
    if (more.ariaDisabled) return null;
    if (isCut) return begin(rows.size + PAGE);
    most = Math.max(most, rows.size + PAGE);
    return load();
  }

  /** Load the next rows; resolves when they, or those of a newer load, are shown. */
  function load(wanted = PAGE) {
    loading = loadAndShow(wanted, nextLoad());
    return loading;
  }

  async function loadAndShow(wanted, current) {
    failed = null;
    more.ariaDisabled = "true";
    if (rows.size === 0) note.replaceChildren(placeholder("Loading…"));
    try {
      await loadPages(wanted, current);
    } catch (error) {
      if (signal.aborted) return;
      if (current.aborted) {
        await loading;
        return;
      }
      failed = error;
    }
    loading = null;
    more.ariaDisabled = null;
    paint();
  }

  // The service looks through a limited number of jobs for a page, so a page may be empty.
  async function loadPages(wanted, current) {
    let found = 0;
    for (let pages = 0; found < wanted && pages < MOST_PAGES + wanted / LARGEST_PAGE; pages += 1) {
      const limit = Math.min(LARGEST_PAGE, Math.max(PAGE, wanted - found));
      const page = await get(withQuery("/v1/jobs", { ...queryOf(chosen, user), cursor, limit }), current);
      page.jobs.toReversed().forEach(storeJob); // the oldest rows are the first that the cache drops
      found += page.jobs.length;
      cursor = page.next_cursor;
      oldest = cursor === null ? "" : (page.jobs.at(-1)?.request_id ?? oldest);
      if (cursor === null || (found > 0 && wanted === PAGE)) return;
    }
  }

  function schedule() {
    timer ||= setTimeout(requestAnimationFrame, painted + PAINT_PAUSE - performance.now(), paint);
  }

  function paint() {
    clearTimeout(timer);
    timer = 0;
    painted = performance.now();
    if (signal.aborted) return;
    const isLoaded = (job) => job.request_id >= oldest;
    const found = [...jobs.values()].filter(isLoaded).filter(matcher(chosen));
    // Ids sort by creation: the newest are on top.
    found.sort((a, b) => (a.request_id < b.request_id ? 1 : -1));
    const shown = found.slice(0, most);
    isCut ||= shown.length < found.length;
    if (!more.ariaDisabled) hide(more, cursor === null && !isCut, list.lastElementChild?.querySelector("a"));
    rows = new Map(shown.map((job) => [job.request_id, rows.get(job.request_id) ?? jobRow(job, user)]));
    pin(rows);
    for (const job of shown) rows.get(job.request_id).update(job);
    arrange(list, [...rows.values()].map(({ element }) => element));
    rememberRows(rows.size);
    if (failed) refill(note, [failure(failed, () => load())]);
    else if (rows.size > 0) refill(note, []);
    else if (loading === null) refill(note, [nothing(chosen, cursor, user)]);
  }

  live.addEventListener("job", ({ detail: { job, known } }) => {
    schedule();
    if (known && job.done && !known.done && [known, job].some(matcher(chosen))) {
      announce(`${titleOf(job)}: ${stateWord(job.status)}, ${evidenceWord(job.evidence)}`);
    }
  }, { signal });
  live.addEventListener("snapshot", () => begin(Math.max(rows.size, remembered().rows)), { signal });
  live.addEventListener("connection", () => {
    if (failed && connection.state === "live") load();
  }, { signal });
  // "Last hour" moves on while no job changes.
  const clock = setInterval(() => chosen.since && schedule(), 5000);
  signal.addEventListener("abort", () => {
    clearInterval(clock);
    pin(new Map());
  });
  return begin(remembered().rows);
}

function jobRow({ request_id: id, user: owner }, user) {
  const row = h("a", { href: link(`/jobs/${encodeURIComponent(id)}`), class: "row job" });
  const by = isEverybodys(user) && `${owner} · `;
  let shown = null;
  let shownResult = null;
  let picture;
  function update(job) {
    if (job === shown) return;
    shown = job;
    // Keep a picture that is already loaded.
    const result = JSON.stringify([job.result, job.archive, job.done]);
    if (result !== shownResult) picture = thumbnail(job, job.done ? "–" : "…");
    shownResult = result;
    row.replaceChildren(
      picture,
      h("span", { class: "what" }, h("strong", {}, titleOf(job)),
        h("small", {}, by, job.error?.message ?? (job.done ? null : job.message) ?? namesOf(job))),
      h("span", { class: "where" }, chip(job.status), !job.done && h("small", {}, phaseWord(job.phase)),
        job.cost && h("small", {}, costText(job.cost))),
      job.done ? took(job) : progressBar(job),
      h("small", { class: "how" }, job.evidence ? evidenceWord(job.evidence) : "no update yet"),
      h("small", { class: "age" }, age(job.created_at)),
    );
  }
  return { element: h("li", {}, row), update };
}

/** What distinguishes a job from others with the same title, in a form that the search accepts. */
function namesOf({ request_id: id, metadata }) {
  const members = Object.entries(metadata).filter(([name]) => name !== "title");
  return [...members.map((pair) => pair.join("=")), id].join(" · ");
}

const took = (job) => h("small", { class: "took" },
  `took ${duration(between(job.created_at, job.done_at), true)}`);

function nothing({ status, kind, provider, since, search }, cursor, user) {
  if (isId(search)) {
    const open = h("a", { class: "button", href: link(`/jobs/${search}`) }, "Open that job");
    return placeholder("Not in this list", "It may be an older job.", open);
  }
  if (status || kind || provider || since || search) {
    const hint = cursor !== null ? "“Show older” searches further back."
      : search ? `The search is in prompts. For metadata, write its name too: title=${search}` : "Try other filters.";
    return placeholder("No matching jobs", hint);
  }
  if (![null, EVERYBODY, user.name].includes(scopeOf(user))) return placeholder("No jobs yet");
  const first = h("a", { class: "button primary", href: link("/new") }, "Submit your first job");
  return placeholder("No jobs yet", "Jobs appear here and update live.", first);
}
