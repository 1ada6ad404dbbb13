// The live list of jobs, with filters and search.

import { keepRows, link, place } from "./address.js";
import { get, withQuery } from "./api.js";
import { announce, face, failure, h, main } from "./dom.js";
import { filters, isId, matches, queryOf, toolbar } from "./filters.js";
import { connection, follow, jobs, live, put } from "./live.js";
import { thumbnail } from "./media.js";
import { isEverybodys, scopeOf } from "./scope.js";
import { age, between, duration } from "./times.js";
import { chip, evidenceWord, phaseWord, progressBar, statusWord, titleOf } from "./words.js";

const PAGE = 50;
const LARGEST_PAGE = 200;
const SEARCHED_AT_ONCE = 5;

/** Show the list until `signal`; resolves when the first rows are shown. */
export function showJobs(user, signal) {
  const list = h("ul", { class: "rows", "aria-label": "Jobs" });
  const note = h("div", { "aria-live": "polite" });
  const more = h("button", { type: "button", hidden: true, click: () => load() }, "Show older");
  const rows = new Map();
  const stale = new Set();
  let chosen = filters();
  let cursor = null;
  // Known jobs older than the loaded page are hidden, because the list would have gaps.
  let oldest = "";
  let painting = 0;
  let loading = null;
  let failed = null;

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Jobs"),
      h("a", { class: "button primary", href: link("/new") }, "New job")),
    toolbar(user, restart, signal),
    list, note, h("p", {}, more),
  );

  function restart() {
    if (signal.aborted) return;
    chosen = filters();
    follow(scopeOf(user));
    begin();
  }

  /** Load the first rows, or as many as were shown before. */
  function begin(wanted = PAGE) {
    cursor = null;
    oldest = "";
    repaint();
    return load(Math.max(PAGE, wanted));
  }

  /** Load the next rows. */
  async function load(wanted = PAGE) {
    const mine = (loading = {});
    failed = null;
    more.disabled = true;
    if (rows.size === 0) note.replaceChildren(face("Loading…"));
    try {
      let found = 0;
      // The service searches a limited number of jobs per page, so a page may be empty.
      for (let pages = 0; found < wanted && pages < SEARCHED_AT_ONCE; pages += 1) {
        const limit = Math.min(LARGEST_PAGE, Math.max(PAGE, wanted - found));
        const page = await get(withQuery("/v1/jobs", { ...queryOf(chosen, user), cursor, limit }));
        if (signal.aborted || mine !== loading) return;
        cursor = page.next_cursor;
        page.jobs.forEach(put);
        oldest = cursor === null ? "" : (page.jobs.at(-1)?.request_id ?? oldest);
        found += page.jobs.length;
        if (cursor === null || (found > 0 && wanted === PAGE)) break;
      }
      more.hidden = cursor === null;
    } catch (error) {
      if (signal.aborted || mine !== loading) return;
      failed = error;
    }
    more.disabled = false;
    loading = null;
    for (const id of jobs.keys()) stale.add(id);
    paint();
  }

  function repaint() {
    for (const id of rows.keys()) stale.add(id);
    for (const id of jobs.keys()) stale.add(id);
    schedule();
  }

  function schedule() {
    painting ||= requestAnimationFrame(paint);
  }

  function paint() {
    cancelAnimationFrame(painting);
    painting = 0;
    if (signal.aborted) return;
    for (const id of stale) {
      const job = jobs.get(id);
      if (job && id >= oldest && matches(job, chosen)) show(id, job);
      else {
        rows.get(id)?.element.remove();
        rows.delete(id);
      }
    }
    stale.clear();
    keepRows(rows.size);
    if (failed) note.replaceChildren(failure(failed, () => load()));
    else if (rows.size > 0) note.replaceChildren();
    else if (loading === null) note.replaceChildren(nothing(chosen, cursor));
  }

  function show(id, job) {
    let row = rows.get(id);
    if (!row) {
      row = jobRow(job, isEverybodys(user));
      rows.set(id, row);
      // Ids sort by creation: the newest are on top.
      const next = [...list.children].find((other) => other.dataset.id < id);
      list.insertBefore(row.element, next ?? null);
    }
    row.update(job);
  }

  live.addEventListener("job", ({ detail: { job, known } }) => {
    stale.add(job.request_id);
    schedule();
    if (known && job.done && !known.done) {
      announce(`${titleOf(job)}: ${statusWord(job.status)}, ${evidenceWord(job.evidence)}`);
    }
  }, { signal });
  live.addEventListener("snapshot", () => begin(rows.size), { signal });
  live.addEventListener("connection", () => {
    if (failed && connection.state === "live") load();
  }, { signal });
  return begin(place().rows);
}

function jobRow(first, withUser) {
  const row = h("a", { href: link(`/jobs/${encodeURIComponent(first.request_id)}`), class: "row job" });
  let shownResult = null;
  let picture = h("span", { class: "thumb" });
  return {
    element: h("li", { "data-id": first.request_id }, row),
    update(job) {
      // Keep a picture that is already loaded.
      const result = JSON.stringify([job.result, job.archive, job.done]);
      if (result !== shownResult) picture = thumbnail(job, job.done ? "–" : "…");
      shownResult = result;
      row.replaceChildren(
        picture,
        h("span", { class: "what" }, h("strong", {}, titleOf(job)),
          h("small", {}, withUser && `${job.user} · `, job.error?.message ?? job.message ?? job.request_id)),
        h("span", { class: "where" }, chip(job.status), !job.done && h("small", {}, phaseWord(job.phase))),
        job.done ? took(job) : progressBar(job),
        h("small", { class: "how" }, job.evidence ? evidenceWord(job.evidence) : "no update yet"),
        h("small", { class: "age" }, age(job.created_at)),
      );
    },
  };
}

const took = (job) => h("span", { class: "took" }, h("small", {}, "took "),
  duration(between(job.created_at, job.done_at), true));

function nothing({ status, kind, provider, since, search }, cursor) {
  if (isId(search)) {
    const open = h("a", { class: "button", href: link(`/jobs/${search}`) }, "Open that job");
    return face("Not in this list", "It may be an older job.", open);
  }
  if (status || kind || provider || since || search) {
    const hint = cursor !== null ? "“Show older” searches further back." : "Try other filters.";
    return face("No matching jobs", hint);
  }
  const first = h("a", { class: "button primary", href: link("/new") }, "Submit your first job");
  return face("No jobs yet", "Jobs appear here and update live.", first);
}
