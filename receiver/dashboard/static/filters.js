// The filters of the list of jobs. They are kept in the URL.

import { change, here } from "./address.js";
import { h } from "./dom.js";
import { scopeChoice, scopeOf } from "./scope.js";
import { DAY, HOUR } from "./times.js";
import { STATUSES, statusWord, titleOf } from "./words.js";

const RANGES = {
  "1h": ["Last hour", HOUR],
  "24h": ["Last 24 hours", DAY],
  "7d": ["Last 7 days", 7 * DAY],
  "30d": ["Last 30 days", 30 * DAY],
};
const KINDS = [["create_movie", "Movie"], ["create_narrative", "Narrative"]];

/** The filters in the URL. */
export function filters() {
  const { query } = here();
  const text = (name) => query.get(name) ?? "";
  return {
    status: text("status"), kind: text("kind"), provider: text("provider"), since: text("since"),
    search: text("q").trim(),
  };
}

/** The query for `GET /v1/jobs`. */
export function queryOf({ status, kind, provider, since, search }, user) {
  const wanted = member(search);
  return {
    user: scopeOf(user), status, kind, provider,
    created_after: RANGES[since] && new Date(begin(since)).toISOString(),
    ...(wanted ? { [`metadata.${wanted.name}`]: wanted.value } : { q: isId(search) ? "" : search }),
  };
}

const begin = (since) => Date.now() - RANGES[since][1];

/** Whether the search is a job id. */
export const isId = (search) => /^job_\w{26}$/.test(search);

/** Parse `name=value` as a member of the metadata; null if it is not one. */
function member(search) {
  const [, name, value] = /^([^=]{1,64})=(.*)$/s.exec(search) ?? [];
  return name?.trim() ? { name: name.trim(), value: value.trim() } : null;
}

/** Whether a job matches the filters. */
export function matches(job, { status, kind, provider, since, search }) {
  if (status && job.status !== status) return false;
  if (kind && job.kind !== kind) return false;
  if (provider && job.provider !== provider) return false;
  if (RANGES[since] && Date.parse(job.created_at) <= begin(since)) return false;
  const asked = member(search);
  if (asked && Object.hasOwn(job.metadata, asked.name) && job.metadata[asked.name] === asked.value) {
    return true;
  }
  const texts = [
    job.request_id, job.provider_request_id, job.label, job.message, job.error?.message,
    job.error?.code, titleOf(job), ...Object.values(job.metadata),
  ];
  const wanted = search.toLowerCase();
  return texts.some((text) => text?.toLowerCase().includes(wanted));
}

/** The controls of the filters; `changed` is called after each change of the URL, until `signal`. */
export function toolbar(user, changed, signal) {
  const now = filters();
  let pause = 0;
  signal.addEventListener("abort", () => clearTimeout(pause));
  const set = (parameters) => {
    change(parameters);
    changed();
  };
  const select = (name, label, options) => {
    const known = options.some(([value]) => value === now[name]);
    const all = [["", "All"], ...options, ...(known || !now[name] ? [] : [[now[name], now[name]]])];
    return h("label", {}, h("span", {}, label),
      h("select", { name, change: (event) => set({ [name]: event.target.value }) },
        all.map(([value, text]) => h("option", { value, selected: now[name] === value }, text))));
  };
  const search = (event) => {
    clearTimeout(pause);
    pause = setTimeout(set, 200, { q: event.target.value.trim() });
  };
  return h("div", { class: "toolbar", role: "search" },
    h("label", { class: "wide" }, h("span", {}, "Search"),
      h("input", {
        type: "search", value: now.search, input: search, autocomplete: "off",
        placeholder: "label, id, or name=value in metadata",
      })),
    select("status", "State", STATUSES.map((each) => [each, statusWord(each)])),
    select("kind", "Kind", KINDS),
    now.provider && select("provider", "Provider", []),
    select("since", "Created", Object.entries(RANGES).map(([value, [text]]) => [value, text])),
    user.admin && scopeChoice(user, (name) => set({ user: name })));
}
