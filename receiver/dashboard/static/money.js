// What jobs cost.

import { bars } from "./charts.js";
import { card, h, table } from "./dom.js";
import { DAY, now } from "./times.js";
import { chip, kindWord } from "./words.js";

const DAYS = 30;
const COLUMNS = ["Jobs", "Settled", "Reserved", "Unknown"];
const NOTHING = { settled: "0", reserved: "0", unknown: "0" };
const dayName = new Intl.DateTimeFormat([], { day: "numeric", month: "short", timeZone: "UTC" });

/** A cost as text, `0.42 USD, reserved`; a settled one needs no word. */
export const costText = ({ amount, currency, state }) =>
  `${amount} ${currency}${state === "settled" ? "" : `, ${state}`}`;

/** The beginning of the days that `spendCard` shows. */
export const spendSince = () => new Date(Math.floor(now() / DAY) * DAY - (DAYS - 1) * DAY).toISOString();

/**
 * A chart by day, a table by user and one by kind, of documents of `/v1/spend`; nothing without
 * prices.
 */
export function spendCard(byDay, byUser, byKind) {
  if (byUser.currency === null) return null;
  const hint = byKind.rows.length === 0 ? "No job with a price yet."
    : `The last ${DAYS} days (UTC), in ${byKind.currency}. Unknown: ended without a result, and perhaps billed.`;
  return card("Cost", h("p", { class: "hint" }, hint), byKind.rows.length > 0 && spendChart(byDay),
    [["User", byUser, String], ["Kind", byKind, kindWord]].map(([name, { rows }, word]) =>
      rows.length > 0 && table(`Cost by ${name.toLowerCase()}`, [name, ...COLUMNS], rows.map((row) => spendRow(row, word)))));
}

function spendChart({ currency, rows }) {
  const found = new Map(rows.map((row) => [row.key, row]));
  const first = Date.parse(spendSince());
  const days = Array.from({ length: DAYS }, (_, index) => new Date(first + index * DAY));
  const spent = days.map((day) => found.get(day.toISOString().slice(0, 10)) ?? NOTHING);
  const series = [["settled", "completed"], ["reserved", "open"], ["unknown", "unknown"]];
  return bars({
    labels: days.map((day) => dayName.format(day)),
    summary: `${currency} by day of creation. The tables have the sums.`,
    series: series.map(([name, look]) => ({ name, look, values: spent.map((day) => day[name]) })),
  });
}

function spendRow({ key, jobs, settled, reserved, unknown }, word) {
  return h("tr", {},
    h("th", { scope: "row" }, word(key)),
    [jobs, settled, reserved].map((value) => h("td", { class: "number" }, String(value))),
    h("td", { class: "number" }, unknown === "0" ? "0" : chip("warning", unknown, "?")));
}
