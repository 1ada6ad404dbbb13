// The filters of the list of jobs: in the URL, in the API's query, and applied to live updates.

import { here } from "./address.js";
import { jobs } from "./live.js";
import { scopeControl, scopeOf } from "./scope.js";
import { DAY, HOUR, now } from "./times.js";
import { filterControls, toolbar } from "./toolbar.js";
import { STATUS_OPTIONS } from "./words.js";

const KINDS = ["create_movie", "create_narrative"];
const RANGES = {
  "1h": ["Last hour", HOUR],
  "24h": ["Last 24 hours", DAY],
  "7d": ["Last 7 days", 7 * DAY],
  "30d": ["Last 30 days", 30 * DAY],
};
const BETWEEN = "between";
const RANGE_OPTIONS = [
  ...Object.entries(RANGES).map(([value, [text]]) => [value, text]), [BETWEEN, "Between…"],
];

/** The filters in the URL. */
export function filters() {
  const { query } = here();
  const text = (name) => query.get(name) ?? "";
  return {
    status: text("status"), kind: text("kind"), provider: text("provider"), since: text("since"),
    after: text("after"), before: text("before"), search: text("q").trim(),
  };
}

/** The creation times that match, as milliseconds; both exclusive. */
function bounds({ since, after, before }) {
  if (since === BETWEEN) return [Date.parse(after) || -Infinity, Date.parse(before) || Infinity];
  return [RANGES[since] ? now() - RANGES[since][1] : -Infinity, Infinity];
}

const isoTime = (ms) => (Number.isFinite(ms) ? new Date(ms).toISOString() : null);

/** The query for `GET /v1/jobs`. */
export function queryOf({ status, kind, provider, search, ...times }, user) {
  const member = metadataMember(search);
  const [after, before] = bounds(times);
  return {
    user: scopeOf(user), status, kind, provider,
    created_after: isoTime(after), created_before: isoTime(before),
    ...(member ? { [`metadata.${member.name}`]: member.value } : { q: isId(search) ? "" : search }),
  };
}

/** Whether the search is a job id. */
export const isId = (search) => /^job_\w{26}$/.test(search);

/** Parse `name=value` as a member of the metadata; null if it is not one. */
function metadataMember(search) {
  const [, name, value] = /^([^=]{1,64})=(.*)$/s.exec(search) ?? [];
  return name?.trim() ? { name: name.trim(), value: value.trim() } : null;
}

/** A test of whether a job matches the filters. Must agree with `queryOf`, or a reload changes the list. */
export function matcher({ status, kind, provider, search, ...times }) {
  const [after, before] = bounds(times);
  const member = metadataMember(search);
  const text = folded(search);
  return (job) => {
    if (status && job.status !== status) return false;
    if (kind && job.kind !== kind) return false;
    if (provider && job.provider !== provider) return false;
    const created = Date.parse(job.created_at);
    if (created <= after || created >= before) return false;
    if (isId(search)) return job.request_id === search;
    if (member) return Object.hasOwn(job.metadata, member.name) && job.metadata[member.name] === member.value;
    return folded(job.label ?? "").includes(text);
  };
}

/** As the service compares: only ASCII letters lose their case. */
const folded = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** The kinds of the form, and those of the known jobs: some providers have thousands. */
function kindOptions() {
  const kinds = new Set([...KINDS, ...[...jobs.values()].map((job) => job.kind).sort()]);
  return [...kinds].map((kind) => [kind, kind]);
}

/** The controls; `changed` is called after each change of the URL. */
export function jobsToolbar(user, changed, signal) {
  const { text, select, time } = filterControls(update, signal);
  const between = [time("after", "From"), time("before", "To")];
  const offerTimes = () => between.forEach((each) => (each.hidden = filters().since !== BETWEEN));
  function update() {
    offerTimes();
    changed();
  }
  offerTimes();
  return toolbar(
    text("q", "Search", "prompt, id, or order=1042"),
    select("status", "State", () => STATUS_OPTIONS),
    select("kind", "Kind", kindOptions),
    filters().provider && select("provider", "Provider", () => []),
    select("since", "Created", () => RANGE_OPTIONS), between,
    user.admin && scopeControl(user, changed));
}
