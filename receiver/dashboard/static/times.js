// Formatting of durations and times.

import { h } from "./dom.js";

const exact = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
});

/** The name of the time zone in which times are shown. */
export const zone = exact.formatToParts().find(({ type }) => type === "timeZoneName").value;

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;

let ahead = 0;

/** Learn from the `Date` header of a response how far this machine's clock is off. */
export function learnClock(date) {
  const difference = Date.now() - Date.parse(date);
  ahead = Math.abs(difference) > MINUTE ? difference : 0;
}

/** The service's time, in milliseconds. */
export const now = () => Date.now() - ahead;

/** A duration such as `12 s`; `fine` adds fractions of seconds, or a second unit to longer ones. */
export function duration(ms, fine = false) {
  if (fine && ms < 1000) return `${Math.round(ms)} ms`;
  if (fine && ms >= MINUTE && ms < HOUR) return `${duration(ms)} ${duration(ms % MINUTE)}`;
  if (fine && ms >= HOUR && ms < 2 * DAY) return `${duration(ms)} ${Math.floor((ms % HOUR) / MINUTE)} min`;
  if (ms < MINUTE) return `${fine && ms < 9_950 ? (ms / 1000).toFixed(1) : Math.floor(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** Milliseconds from one time to another, at least 0. */
export const between = (from, to) => Math.max(0, Date.parse(to) - Date.parse(from));

/** The exact time as text. */
export const exactTime = (time) => exact.format(new Date(time));

const FORMATS = {
  // The service's clock may be a little ahead: do not show recent times as future ones.
  ago: (time) => `${duration(Math.max(0, now() - time))} ago`,
  until: (time) => (time > now() + 1000 ? `in ${duration(time - now())}` : "due"),
  clock: (time) => clock.format(time),
};

/** How long ago. */
export const age = (iso) => timeElement(iso, "ago");

/** How long until then, or "due". */
export const until = (iso) => timeElement(iso, "until");

/** The time of day. */
export const clockTime = (iso) => timeElement(iso, "clock");

/** A time whose text is updated live; its tooltip is the exact time. */
function timeElement(iso, format) {
  return h("time", { datetime: iso, title: exactTime(iso), "data-format": format },
    FORMATS[format](Date.parse(iso)));
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-format]:not([data-format=clock])")) {
    const text = FORMATS[element.dataset.format](Date.parse(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}, 1000);
