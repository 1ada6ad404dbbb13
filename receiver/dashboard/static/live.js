// A live cache of jobs, updated by the event stream of a user, or by polling for all users' jobs.

import { get, session, withQuery } from "./api.js";

const MOST_JOBS = 5000;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15_000;
const ASK_EVERY = 5000;
const NEWEST = 100;
const UNFINISHED = 20;

/**
 * Dispatches `job` (detail: the new version), `snapshot`, and `connection` (see `connection`).
 *
 * After a `snapshot`, read lists again: a job that ended while disconnected is neither in the
 * snapshot, which has only unfinished jobs, nor among the updates after it.
 */
export const live = new EventTarget();

/** The newest version of each job, by id. */
export const jobs = new Map();

/** `state` is "off", "connecting", "live" or "lost"; `retryAt` (ms) is the next attempt if lost. */
export const connection = { state: "off", retryAt: 0 };

/** All users' jobs, for admins. There is no stream for these. */
export const EVERYBODY = "*";

let source = null;
let asking = null;
let cursor = "";
let whose;
let waiting = 0;
let timer = 0;

/** Store a version of a job. Versions older than the known one are ignored. */
export function put(job) {
  const known = jobs.get(job.request_id);
  if (known && known.seq > job.seq) return;
  jobs.set(job.request_id, job);
  if (jobs.size > MOST_JOBS) jobs.delete([...jobs.keys()].sort()[0]);
  live.dispatchEvent(new CustomEvent("job", { detail: { job, known } }));
}

/** Follow the jobs of a user; null means the signed-in user. */
export function follow(user) {
  if (whose === user) return;
  stop();
  whose = user;
  connect();
}

/** Close the stream and clear the cache. */
export function stop() {
  close();
  jobs.clear();
  cursor = "";
  waiting = 0;
  whose = undefined;
  report("off");
}

/** Reconnect now, if the connection is lost. */
export function reconnect() {
  if (connection.state === "lost") connect();
}

function connect() {
  close();
  if (connection.state !== "lost") report("connecting");
  if (whose === EVERYBODY) ask();
  else stream();
}

function stream() {
  source = new EventSource(withQuery("/v1/events", { user: whose, last_event_id: cursor }));
  source.addEventListener("open", connected);
  source.addEventListener("snapshot", (event) => {
    cursor = event.lastEventId;
    JSON.parse(event.data).jobs.forEach(put);
    live.dispatchEvent(new Event("snapshot"));
  });
  source.addEventListener("update", (event) => {
    cursor = event.lastEventId;
    put(JSON.parse(event.data));
  });
  source.addEventListener("reset", () => jobs.clear());
  source.addEventListener("error", lose);
}

/** Poll the newest jobs, and older ones that are unfinished. */
async function ask() {
  const mine = (asking = {});
  const unfinished = [...jobs.values()].filter((job) => !job.done);
  try {
    const { jobs: newest } = await get(withQuery("/v1/jobs", { user: whose, limit: NEWEST }));
    const read = new Set(newest.map((job) => job.request_id));
    const older = unfinished.filter((job) => !read.has(job.request_id)).slice(-UNFINISHED);
    const news = await Promise.all(older.map((job) => get(job.links.self)));
    if (mine !== asking) return;
    [...newest, ...news].forEach(put);
  } catch {
    if (mine === asking) lose();
    return;
  }
  connected();
  timer = setTimeout(ask, ASK_EVERY);
}

function connected() {
  waiting = 0;
  report("live");
}

// An EventSource reconnects by itself after some failures and gives up after others. Here all
// failures are handled the same way, and the page shows when the next attempt is.
function lose() {
  close();
  waiting = Math.min(LONGEST_WAIT, waiting === 0 ? FIRST_WAIT : waiting * 1.6);
  const wait = waiting * (1 + Math.random());
  connection.retryAt = Date.now() + wait;
  report("lost");
  timer = setTimeout(async () => {
    try {
      if ((await get("/session")).user === null) {
        session.dispatchEvent(new Event("signed-out"));
        return;
      }
    } catch {
      if (idle()) lose();
      return;
    }
    if (idle()) connect();
  }, wait);
}

// Whether no attempt is running. While one checks the session, the user or an `online` event may
// have started another, which must not be closed.
const idle = () => connection.state === "lost" && source === null && asking === null;

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
  asking = null;
}

function report(state) {
  if (state === "live" && connection.state === "live") return;
  connection.state = state;
  live.dispatchEvent(new Event("connection"));
}

addEventListener("online", reconnect);
document.addEventListener("visibilitychange", () => document.hidden || reconnect());
