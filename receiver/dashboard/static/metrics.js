// The service's metrics (Prometheus text format), sampled while this page is open. With replicas, each
// sample is of the one that answered.

import { limited, request } from "./api.js";
import { repeat } from "./repeat.js";

const PERIOD = 5000;
/** A longer gap between two samples, as when the machine was asleep, would be taken for one period. */
const LONGEST_GAP = 3 * PERIOD;
/** The largest number of samples kept. */
export const MAX_SAMPLES = 60;
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The metrics at one moment, by name. */
class Sample {
  constructor(text) {
    // Unlike `performance.now()`, this goes on while the machine is asleep.
    this.at = Date.now();
    this.series = new Map();
    for (const line of text.split("\n")) {
      const match = LINE.exec(line);
      if (!match) continue;
      const labels = Object.fromEntries(
        [...(match[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
      const series = this.series.get(match[1]) ?? [];
      series.push({ labels, value: Number(match[3]) });
      this.series.set(match[1], series);
    }
    /** Differs between replicas, and after a restart. */
    this.process = this.series.get("process_start_time_seconds")?.[0].value;
  }

  /** The sum of the samples of `name` with these labels. */
  sum(name, labels = {}) {
    const fits = (each) => Object.entries(labels).every(([key, value]) => each.labels[key] === value);
    return (this.series.get(`receiver_${name}`) ?? []).filter(fits)
      .reduce((total, each) => total + each.value, 0);
  }

  /** The sums of `name` by one label: [[label's value, sum]]. */
  by(name, label) {
    const sums = new Map();
    for (const { labels, value } of this.series.get(`receiver_${name}`) ?? []) {
      sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
    }
    return [...sums];
  }
}

/** The latest samples, oldest first. */
export const samples = [];
/** Dispatches `sample` and `failed`. */
export const sampling = new EventTarget();

/** Whether the newest sample is out of date. */
export const isStale = () => samples.length > 0 && Date.now() - samples.at(-1).at > LONGEST_GAP;

let running = new AbortController();

export function startSampling() {
  stopSampling();
  running = new AbortController();
  repeat({ signal: running.signal, period: PERIOD, read: sample, failed }).now();
}

export function stopSampling() {
  running.abort();
  samples.length = 0;
}

async function sample(signal) {
  const text = await request("GET", "/session/metrics", { signal: limited(signal), read: String });
  if (signal.aborted) return;
  const newest = new Sample(text);
  if (newest.process === undefined) throw new Error("these are not the service's metrics");
  if (isStale()) samples.length = 0;
  samples.push(newest);
  if (samples.length > MAX_SAMPLES) samples.shift();
  sampling.dispatchEvent(new Event("sample"));
}

function failed() {
  sampling.dispatchEvent(new Event("failed"));
}

/** The growth of a counter since the process's previous sample, or the one `count` samples ago. */
export function growth(after, name, labels, count = 1) {
  const mine = samples.slice(0, samples.indexOf(after)).filter((each) => each.process === after.process);
  const before = mine.at(-count) ?? mine[0];
  return before ? after.sum(name, labels) - before.sum(name, labels) : 0;
}

/** A quantile of a histogram since the service started, as the upper bound of its bucket. */
export function quantile(sample, name, share) {
  const buckets = sample.by(`${name}_bucket`, "le")
    .map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count])
    .sort(([a], [b]) => a - b);
  const all = buckets.at(-1)?.[1] ?? 0;
  return all === 0 ? null : buckets.find(([, count]) => count >= share * all)[0];
}
