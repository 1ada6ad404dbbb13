// Formatting of durations and times.

const exact = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "long", hour12: false });
const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
});

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;

/** A duration such as `12 s`; `fine` adds fractions of seconds, or a second unit to longer ones. */
export function duration(ms, fine = false) {
  if (fine && ms < 1000) return `${Math.round(ms)} ms`;
  if (fine && ms >= MINUTE && ms < HOUR) return `${duration(ms)} ${duration(ms % MINUTE)}`;
  if (fine && ms >= HOUR && ms < 2 * DAY) return `${duration(ms)} ${Math.floor((ms % HOUR) / MINUTE)} min`;
  if (ms < MINUTE) return `${fine && ms < 10_000 ? (ms / 1000).toFixed(1) : Math.floor(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** Milliseconds from one time to another, at least 0. */
export const between = (from, to) => Math.max(0, Date.parse(to) - Date.parse(from));

// The service's clock may be ahead of this machine's: do not show recent times as future ones.
function relative(iso) {
  const ms = Date.now() - Date.parse(iso);
  return ms < -1000 ? `in ${duration(-ms)}` : "due";
}

const pastOnly = (iso) => `${duration(Math.max(0, Date.now() - Date.parse(iso)))} ago`;

/** How long ago, updated live; the exact time is in its title. */
export function age(iso) {
  const title = exact.format(new Date(iso));
  return timeElement(iso, title, pastOnly(iso), "ago");
}

/** How long until then, or "due"; updated live. */
export function until(iso) {
  return timeElement(iso, exact.format(new Date(iso)), relative(iso), "until");
}

export function clockTime(iso) {
  const moment = new Date(iso);
  return timeElement(iso, exact.format(moment), clock.format(moment), null);
}

/** The exact time as text. */
export const exactTime = (iso) => exact.format(new Date(iso));

function timeElement(iso, title, text, kind) {
  const element = document.createElement("time");
  element.dateTime = iso;
  element.title = title;
  element.textContent = text;
  if (kind) element.dataset.kept = kind;
  return element;
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-kept]")) {
    const format = element.dataset.kept === "ago" ? pastOnly : relative;
    const text = format(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}, 1000);
