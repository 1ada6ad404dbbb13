// A live cache of jobs, updated by the event stream of a user, or by polling for all users' jobs.

import { addressOf, get, isSameSession, parse, session, withQuery } from "./api.js";

const MOST_JOBS = 5000;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15_000;
const POLL_EVERY = 5000;
const NEWEST = 100;
const UNFINISHED = 20;
/** Without an event for so long, the service is asked whether it still answers: heartbeats are invisible here. */
const QUIET = 40_000;
/** A tab that is hidden for so long gives up its connection: a browser has six for each origin on plain HTTP. */
const HIDDEN = 30_000;

/**
 * Dispatches `job` (detail: the new version), `snapshot`, and `connection` (see `connection`).
 *
 * After a `snapshot`, read lists again: a job that ended while disconnected is neither in the
 * snapshot, which has only unfinished jobs, nor among the updates after it.
 */
export const live = new EventTarget();

/** The newest version of each job, by id. */
export const jobs = new Map();

let pinned = new Map();

/** Keep the jobs with these ids: a view shows them. They are also read first where there is no stream. */
export const pin = (ids) => (pinned = ids);

/** `state` is "off", "connecting", "live" or "lost"; `retryAt` (ms) is the next attempt if lost. */
export const connection = { state: "off", retryAt: 0 };

/** All users' jobs, for admins. There is no stream for these. */
export const EVERYBODY = "*";

let source = null;
/** The poll under way; a new object for each. */
let poll = null;
let cursor = "";
/** The followed user; undefined if nobody is followed. */
let followed;
let delay = 0;
let timer = 0;

/**
 * Store a version of a job. Versions older than the known one are ignored. The job moves to the end
 * of `jobs`, so the first one is always the least recently stored.
 */
export function storeJob(job) {
  const known = jobs.get(job.request_id);
  if (known && known.seq > job.seq) return;
  jobs.delete(job.request_id);
  jobs.set(job.request_id, job);
  live.dispatchEvent(new CustomEvent("job", { detail: { job, known } }));
}

/** Store a job from the stream or a poll; may evict others. `storeJob` keeps what a view has just read. */
function receive(job) {
  storeJob(job);
  for (const id of jobs.keys()) {
    if (jobs.size <= MOST_JOBS) return;
    if (!pinned.has(id)) jobs.delete(id);
  }
}

/** Follow the jobs of a user; null means the signed-in user. */
export function follow(user) {
  if (followed === user) return;
  stop();
  followed = user;
  connect();
}

/** Close the stream and clear the cache. */
export function stop() {
  close();
  jobs.clear();
  cursor = "";
  delay = 0;
  followed = undefined;
  report("off");
}

/** Reconnect now, if the connection is lost. */
export function reconnect() {
  if (connection.state !== "lost") return;
  connection.retryAt = 0;
  connect();
}

function connect() {
  close();
  if (connection.state !== "lost") report("connecting");
  if (followed === EVERYBODY) pollJobs();
  else openStream();
  pauseIfHidden();
}

function openStream() {
  heard();
  source = new EventSource(addressOf(withQuery("/v1/events", { user: followed, last_event_id: cursor })));
  source.addEventListener("open", () => {
    connected();
    heard();
  });
  source.addEventListener("snapshot", (event) => {
    heard();
    cursor = event.lastEventId;
    parse(event.data).jobs.forEach(receive);
    live.dispatchEvent(new Event("snapshot"));
  });
  source.addEventListener("update", (event) => {
    heard();
    cursor = event.lastEventId;
    receive(parse(event.data));
  });
  source.addEventListener("reset", () => jobs.clear());
  source.addEventListener("error", fail);
}

/** An EventSource does not say why it failed: perhaps there is no user with this name. */
async function fail() {
  const mine = source;
  mine.close(); // it may be about to reconnect by itself
  const asked = followed && get(withQuery("/v1/jobs", { user: followed, limit: 1 }));
  const isNobody = asked && await asked.then(() => false, (error) => error.isGone);
  if (mine !== source) return;
  if (!isNobody) {
    lose();
    return;
  }
  close();
  report("off"); // the view says that there is no such user
}

/** Something came from the stream: check it again after `QUIET`. */
function heard() {
  clearTimeout(timer);
  timer = setTimeout(check, QUIET);
}

/** The answer comes over another connection, so the stream is opened anew where it stopped. */
async function check() {
  const mine = source;
  try {
    const answer = await get("/session");
    if (mine !== source) return;
    if (isSameSession(answer)) {
      source.close();
      openStream();
    } else {
      session.dispatchEvent(new Event("signed-out"));
    }
  } catch {
    if (mine === source) lose();
  }
}

/** Poll the newest jobs, and some of the older unfinished ones, round-robin. */
async function pollJobs() {
  const mine = (poll = {});
  let mayMiss = false;
  try {
    const { jobs: newest } = await get(withQuery("/v1/jobs", { user: followed, limit: NEWEST }));
    const read = new Set(newest.map((job) => job.request_id));
    // Stored jobs move to the end of `jobs`, so the next poll takes the next ones.
    const older = [...jobs.values()].filter((job) => !job.done && !read.has(job.request_id));
    older.sort((a, b) => pinned.has(b.request_id) - pinned.has(a.request_id));
    const updated = await Promise.all(older.slice(0, UNFINISHED).map(readAgain));
    if (mine !== poll) return;
    // After an outage or a burst, there may be jobs between these and the known ones.
    mayMiss = connection.state !== "live"
      || (newest.length === NEWEST && !newest.some((job) => jobs.has(job.request_id)));
    [...newest, ...updated.flat()].forEach(receive);
  } catch {
    if (mine === poll) lose();
    return;
  }
  connected();
  if (mayMiss) live.dispatchEvent(new Event("snapshot"));
  timer = setTimeout(pollJobs, POLL_EVERY);
}

/** The job's current version, or the known one if it cannot be read; [] if it was removed. */
async function readAgain(job) {
  try {
    return [await get(`/v1/jobs/${job.request_id}`)];
  } catch (error) {
    if (!error.isGone) return [job];
    jobs.delete(job.request_id);
    return [];
  }
}

function connected() {
  delay = 0;
  report("live");
}

// An EventSource reconnects by itself after some failures and gives up after others. Here all
// failures are handled the same way, and the page shows when the next attempt is.
function lose() {
  close();
  delay = Math.min(LONGEST_DELAY, delay === 0 ? FIRST_DELAY : delay * 1.6);
  const wait = delay * (1 + Math.random());
  connection.retryAt = Date.now() + wait;
  report("lost");
  timer = setTimeout(async () => {
    try {
      if (!isSameSession(await get("/session"))) {
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

// Whether no attempt to connect is running. While the session is checked, the user or an `online`
// event may have started one, which must not be closed.
const idle = () => connection.state === "lost" && source === null && poll === null;

function close() {
  isPaused = false;
  clearTimeout(timer);
  source?.close();
  source = null;
  poll = null;
}

function report(state) {
  if (state === "live" && connection.state === "live") return;
  connection.state = state;
  live.dispatchEvent(new Event("connection"));
}

let hidden = 0;
/** Whether the connection was given up because the tab is hidden. */
let isPaused = false;

function pause() {
  if (source === null && poll === null) return;
  close();
  isPaused = true;
}

function pauseIfHidden() {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(pause, HIDDEN);
}

addEventListener("online", reconnect);
document.addEventListener("visibilitychange", () => {
  pauseIfHidden();
  if (document.hidden) return;
  if (isPaused) connect();
  else reconnect();
});
