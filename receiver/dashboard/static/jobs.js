// The list of jobs: filtered, searched, live.

import { get, withQuery } from "./api.js";
import {
  age, announce, chip, evidenceWord, face, failure, h, main, phaseWord, progressBar, STATUSES,
  statusWord, titleOf,
} from "./dom.js";
import { connection, follow, jobs, live, put } from "./live.js";

const PAGE = 50;
const filter = { status: "", kind: "", search: "" };

/** Show the list until `signal`. */
export function showJobs(user, signal) {
  const list = h("ul", { class: "rows", "aria-label": "Jobs" });
  const note = h("div", { "aria-live": "polite" });
  const more = h("button", { type: "button", hidden: true, click: () => load() }, "Show older");
  const rows = new Map();
  const stale = new Set();
  let cursor = null;
  let painting = 0;
  let loading = null;
  let failed = null;
  let asked = "";

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Jobs"),
      h("a", { class: "button primary", href: "#/new" }, "New job")),
    toolbar(user, restart, refine),
    list, note, h("p", {}, more),
  );

  function restart() {
    jobs.clear();
    reload();
  }

  function reload() {
    cursor = null;
    asked = JSON.stringify(query());
    repaint();
    load();
  }

  // What the service does not filter by, this page does, in what is loaded. A search that may be
  // for a member of the metadata may be for a text with such a sign too: what is loaded stays.
  function refine(search) {
    filter.search = search;
    if (signal.aborted) return;
    if (JSON.stringify(query()) === asked) repaint();
    else if (member(filter.search)) reload();
    else restart();
  }

  async function load() {
    const mine = (loading = {});
    failed = null;
    more.disabled = true;
    if (rows.size === 0) note.replaceChildren(face("Loading…"));
    try {
      const page = await get(withQuery("/v1/jobs", { ...query(), user: user.viewed, cursor, limit: PAGE }));
      if (signal.aborted || mine !== loading) return;
      loading = null;
      cursor = page.next_cursor;
      page.jobs.forEach(put);
      more.hidden = cursor === null;
      repaint();
    } catch (error) {
      if (signal.aborted || mine !== loading) return;
      loading = null;
      failed = error;
      repaint();
    } finally {
      more.disabled = false;
    }
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
    painting = 0;
    for (const id of stale) {
      const job = jobs.get(id);
      if (job && matches(job)) place(id, job);
      else {
        rows.get(id)?.element.remove();
        rows.delete(id);
      }
    }
    stale.clear();
    if (failed) note.replaceChildren(failure(failed, load));
    else if (rows.size > 0) note.replaceChildren();
    else if (loading === null) note.replaceChildren(nothing());
  }

  function place(id, job) {
    let row = rows.get(id);
    if (!row) {
      row = jobRow(job);
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
      const words = `${titleOf(job)}: ${statusWord(job.status)}, known ${evidenceWord(job.evidence)}`;
      announce(words);
    }
  }, { signal });
  live.addEventListener("snapshot", () => {
    cursor = null;
    repaint();
    load();
  }, { signal });
  live.addEventListener("connection", () => {
    if (failed && connection.state === "live") load();
  }, { signal });
  restart();
}

function jobRow(first) {
  const link = h("a", { href: `#/jobs/${encodeURIComponent(first.request_id)}`, class: "row job" });
  return {
    element: h("li", { "data-id": first.request_id }, link),
    update(job) {
      link.replaceChildren(
        h("span", { class: "where" }, chip(job.status),
          !job.done && h("small", {}, phaseWord(job.phase))),
        h("span", { class: "what" }, h("strong", {}, titleOf(job)),
          h("small", {}, job.error?.message ?? job.message ?? job.request_id)),
        progressBar(job),
        h("small", { class: "how" }, job.evidence ? `known ${evidenceWord(job.evidence)}` : "no news yet"),
        h("small", { class: "age" }, age(job.created_at)),
      );
    },
  };
}

// --- filters -------------------------------------------------------------------------------------

function toolbar(user, restart, refine) {
  let pause = 0;
  const select = (name, label, options) => {
    const choose = (event) => {
      filter[name] = event.target.value;
      restart();
    };
    const element = h("select", { name, change: choose }, options.map(([value, text]) =>
      h("option", { value, selected: filter[name] === value }, text)));
    return h("label", {}, h("span", {}, label), element);
  };
  const search = (event) => {
    clearTimeout(pause);
    pause = setTimeout(refine, 150, event.target.value.trim());
  };
  const view = (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("user").trim();
    user.viewed = name === "" || name === user.name ? null : name;
    follow(user.viewed);
    restart();
  };
  return h("div", { class: "toolbar", role: "search" },
    h("label", { class: "wide" }, h("span", {}, "Search"),
      h("input", {
        type: "search", value: filter.search, input: search, autocomplete: "off",
        placeholder: "label, id, message, or name=value of the metadata",
      })),
    select("status", "State", [["", "All"], ...STATUSES.map((each) => [each, statusWord(each)])]),
    select("kind", "Kind", [["", "All"], ["create_movie", "Movie"], ["create_narrative", "Narrative"]]),
    user.admin && h("form", { submit: view }, h("label", {}, h("span", {}, "User"),
      h("input", { name: "user", value: user.viewed ?? user.name, autocomplete: "off", size: 12 }))),
  );
}

/** What the service filters by: of a search, one member of the metadata. */
function query() {
  const { status, kind, search } = filter;
  const wanted = member(search);
  return { status, kind, ...(wanted && { [`metadata.${wanted.name}`]: wanted.value }) };
}

/** `name=value` as a member of the metadata, or null where no member can have that name. */
function member(search) {
  const [, name, value] = /^([^=]{1,64})=(.*)$/s.exec(search) ?? [];
  return name?.trim() ? { name: name.trim(), value: value.trim() } : null;
}

function matches(job) {
  if (filter.status && job.status !== filter.status) return false;
  if (filter.kind && job.kind !== filter.kind) return false;
  const asked = member(filter.search);
  if (asked && Object.hasOwn(job.metadata, asked.name) && job.metadata[asked.name] === asked.value) {
    return true;
  }
  const texts = [
    job.request_id, job.provider_request_id, job.message, job.error?.message, job.error?.code,
    titleOf(job), ...Object.values(job.metadata),
  ];
  const wanted = filter.search.toLowerCase();
  return texts.some((text) => text?.toLowerCase().includes(wanted));
}

function nothing() {
  if (/^job_\w{26}$/.test(filter.search)) {
    const link = h("a", { class: "button", href: `#/jobs/${filter.search}` }, "Open that job");
    return face("Not among the jobs shown", "It may be older than they are.", link);
  }
  if (filter.status || filter.kind || filter.search) {
    const hint = "Search looks through the jobs that are loaded; “Show older” loads more.";
    return face("No job fits", filter.search && hint);
  }
  const first = h("a", { class: "button primary", href: "#/new" }, "Submit the first");
  return face("No jobs yet", "What is submitted appears here, and moves by itself.", first);
}
