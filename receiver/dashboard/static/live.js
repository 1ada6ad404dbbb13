// What is known of one user's jobs, kept current by the event stream.

import { get, session, withQuery } from "./api.js";

const MOST_JOBS = 5000;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15_000;

/**
 * Tells `job` (detail: the job, newer than before), `snapshot`, and `connection` (see `connection`).
 *
 * What was read before a `snapshot` has to be read again: a job that ended in between is neither in
 * the snapshot, which holds the unfinished ones, nor among the updates after it.
 */
export const live = new EventTarget();

/** The newest version of each job, by id. */
export const jobs = new Map();

/** `state` is "off", "connecting", "live" or "lost"; `retryAt` (ms) is when a lost one tries again. */
export const connection = { state: "off", retryAt: 0 };

let source = null;
let cursor = "";
let whose = null;
let waiting = 0;
let timer = 0;

/** Take a version of a job that was read somewhere; an older one than is known changes nothing. */
export function put(job) {
  const known = jobs.get(job.request_id);
  if (known && known.seq > job.seq) return;
  jobs.set(job.request_id, job);
  if (jobs.size > MOST_JOBS) jobs.delete([...jobs.keys()].sort()[0]);
  live.dispatchEvent(new CustomEvent("job", { detail: { job, known } }));
}

/** Follow the jobs of a user; null is whoever is signed in. */
export function follow(user) {
  stop();
  whose = user;
  connect();
}

/** End the stream, and forget everything. */
export function stop() {
  close();
  jobs.clear();
  cursor = "";
  waiting = 0;
  tell("off");
}

/** Try again at once, where the stream is lost. */
export function reconnect() {
  if (connection.state === "lost") connect();
}

function connect() {
  close();
  if (connection.state !== "lost") tell("connecting");
  const resume = { user: whose, last_event_id: cursor };
  source = new EventSource(withQuery("/v1/events", resume));
  source.addEventListener("open", () => {
    waiting = 0;
    tell("live");
  });
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

// An EventSource tries again by itself after some failures and gives up for good after others; here
// every failure is the same, and whoever looks can see when the next attempt is.
function lose() {
  close();
  waiting = Math.min(LONGEST_WAIT, waiting === 0 ? FIRST_WAIT : waiting * 1.6);
  const wait = waiting * (1 + Math.random());
  connection.retryAt = Date.now() + wait;
  tell("lost");
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

// Whether nothing is under way: while an attempt asked whether the session lasts, somebody, or the
// machine's network, may have begun one that its answer must not cut off.
const idle = () => connection.state === "lost" && source === null;

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function tell(state) {
  connection.state = state;
  live.dispatchEvent(new Event("connection"));
}

addEventListener("online", reconnect);
document.addEventListener("visibilitychange", () => document.hidden || reconnect());
