// Follow the event stream of a receiver from a browser: every event once and in order.
//
// An EventSource does not reconnect after a response such as 401 (a ticket is valid for an hour) or
// a proxy's 502. Then this opens a new one with a new ticket, and resumes after the last event.
//
//   import { follow } from "…/static/receiver-events.js"; // of the service
//
//   const stream = follow({
//     // Your own server has the API key, and passes on the response of POST /v1/stream-tickets.
//     ticket: async () => (await fetch("/stream-ticket", { method: "POST" })).json(),
//     onSnapshot: (snapshot) => …, // the job, or { jobs } of the stream of all jobs
//     onUpdate: (job) => …,
//     onDone: (done) => …, // the end of a job's own stream
//   });
//   stream.close();

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;

/**
 * Follow a stream until it is done or closed.
 *
 * @param {() => Promise<{url: string}>} options.ticket fetches a ticket; called for each connection.
 * @param {string} [options.base] the service's URL; by default the origin of this module.
 * @param {string} [options.cursor] the cursor to resume from.
 * @param {(document: object) => void} [options.onSnapshot] called with the current state, at the
 *   beginning, after a reset, and if the job has ended and has no events after `options.cursor`. It
 *   replaces everything known before.
 * @param {(job: object) => void} [options.onUpdate] called with the job as of each event.
 * @param {(done: object) => void} [options.onDone] called with `{request_id, status}` at the end.
 * @param {() => void} [options.onOpen] called when a connection is open, also after an interruption.
 * @param {(error: unknown, pause?: number) => void} [options.onTrouble] called when the stream was
 *   interrupted, with the reason and the milliseconds until it reconnects, unless the browser does so.
 * @param {typeof EventSource} [options.EventSource] replaces the browser's own.
 * @returns {{close: () => void, readonly cursor: string | undefined}}
 */
export function follow({ ticket, base = new URL(import.meta.url).origin, cursor, ...rest }) {
  const { onSnapshot, onUpdate, onDone, onOpen, onTrouble } = rest;
  const Source = rest.EventSource ?? globalThis.EventSource;
  let source, timer, last;
  let closed = false;
  let failures = 0;

  function close() {
    closed = true;
    clearTimeout(timer);
    source?.close();
  }

  function end({ request_id, status }) {
    close();
    onDone?.({ request_id, status });
  }

  function retry(error) {
    if (closed) return;
    source?.close();
    const longest = Math.min(FIRST_PAUSE * 2 ** failures++, LONGEST_PAUSE);
    const pause = longest * (0.5 + Math.random() / 2); // jitter, so that clients spread out
    timer = setTimeout(open, pause);
    onTrouble?.(error, pause);
  }

  async function open() {
    try {
      const { url: path } = await ticket();
      if (!path) throw new Error("the ticket has no url");
      const url = new URL(path, base);
      if (cursor) url.searchParams.set("last_event_id", cursor);
      if (!closed) listen(new Source(url.href), !url.pathname.endsWith("/v1/events"));
    } catch (error) {
      retry(error);
    }
  }

  function listen(opened, ofOneJob) {
    source = opened;
    let isLost = false;
    const seen = (handle) => (event) => {
      cursor = event.lastEventId || cursor;
      last = JSON.parse(event.data);
      handle?.(last);
    };
    source.addEventListener("open", () => {
      failures = 0;
      isLost = false;
      onOpen?.();
    });
    source.addEventListener("snapshot", seen(onSnapshot));
    source.addEventListener("update", seen(onUpdate));
    source.addEventListener("reset", () => (cursor = undefined));
    source.addEventListener("done", (event) => end(JSON.parse(event.data)));
    source.addEventListener("error", async () => {
      if (source !== opened) return;
      if (opened.readyState !== Source.CLOSED) {
        // It reconnects by itself, and reports each failure.
        if (!isLost) onTrouble?.(new Error("the connection was lost"));
        isLost = true;
        return;
      }
      // A 204 also closes it: all events of a finished job were seen, only "done" was lost.
      if (ofOneJob && last?.done) end(last);
      else if (ofOneJob && cursor && !last && (await statusOf(opened.url)) === 204) restart();
      else retry(new Error("the stream was refused"));
    });
  }

  // All events were seen before `follow` was called: a snapshot says how the job ended.
  function restart() {
    if (closed) return;
    cursor = undefined;
    open();
  }

  open();
  return { close, get cursor() { return cursor; } };
}

/** The status of a response, which an EventSource does not tell; undefined if there is none. */
async function statusOf(url) {
  const aborter = new AbortController();
  const { status } = await fetch(url, { signal: aborter.signal }).catch(() => ({}));
  aborter.abort(); // it may be a stream
  return status;
}
