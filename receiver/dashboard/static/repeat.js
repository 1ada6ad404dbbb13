// Requests that a view repeats, or replaces by newer ones.

/** A function that returns a new signal and aborts the previous one; `signal` aborts them all. */
export function abortPrevious(signal) {
  let current = new AbortController();
  return () => {
    current.abort();
    current = new AbortController();
    return AbortSignal.any([signal, current.signal]);
  };
}

/**
 * Call `read(signal)` again and again until `signal` ends: `period` ms after the last call is done, or
 * as many as it returns. If it throws, `failed(error)` is called, which can return the wait too.
 *
 * Returns `now()`, which aborts the running call, starts a new one, and resolves when that is done;
 * and `soon(ms)`, which shortens the wait before the next call.
 */
export function repeat({ signal, period, read, failed }) {
  const next = abortPrevious(signal);
  let timer = 0;
  let wait = Infinity;
  let isReading = false;

  async function now() {
    clearTimeout(timer);
    wait = Infinity;
    isReading = true;
    const current = next();
    let pause;
    try {
      pause = await read(current);
    } catch (error) {
      if (!current.aborted) pause = failed(error);
    }
    if (current.aborted) return;
    isReading = false;
    soon(pause ?? period);
  }

  function soon(ms) {
    wait = Math.min(wait, ms);
    if (isReading) return;
    clearTimeout(timer);
    timer = setTimeout(now, wait);
  }

  signal.addEventListener("abort", () => clearTimeout(timer));
  return { now, soon };
}
