// The service's metrics (Prometheus text format), sampled while this page is open.

const PERIOD = 5000;
const KEPT = 240;
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The metrics at one moment, by name. */
export class Sample {
  constructor(text) {
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
export const sampling = new EventTarget();

let timer = 0;

export function startSampling() {
  stopSampling();
  sample();
}

export function stopSampling() {
  clearTimeout(timer);
  samples.length = 0;
}

async function sample() {
  timer = setTimeout(sample, PERIOD);
  try {
    const answer = await fetch("/metrics", { cache: "no-store" });
    if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`);
    samples.push(new Sample(await answer.text()));
    if (samples.length > KEPT) samples.shift();
    sampling.dispatchEvent(new Event("sample"));
  } catch (error) {
    sampling.dispatchEvent(new CustomEvent("failed", { detail: error }));
  }
}

/** The growth of a counter between two samples; after a restart it starts at zero. */
export function growth(before, after, name, labels) {
  const [from, to] = [before?.sum(name, labels) ?? 0, after.sum(name, labels)];
  return to >= from ? to - from : to;
}

/** A quantile of a histogram since the service started, as the upper bound of its bucket. */
export function quantile(sample, name, share) {
  const buckets = sample.by(`${name}_bucket`, "le")
    .map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count])
    .sort(([a], [b]) => a - b);
  const all = buckets.at(-1)?.[1] ?? 0;
  return all === 0 ? null : buckets.find(([, count]) => count >= share * all)[0];
}
