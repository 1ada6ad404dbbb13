// What jobs cost.

import { bars } from "./charts.js";
import { card, h, table } from "./dom.js";
import { DAY, now } from "./times.js";
import { chip } from "./words.js";

const DAYS = 30;
const COLUMNS = ["Jobs", "Settled", "Reserved", "Unknown"];
const NOTHING = { settled: "0", reserved: "0", unknown: "0" };
const dayName = new Intl.DateTimeFormat([], { day: "numeric", month: "short", timeZone: "UTC" });

/** The amount, a decimal text, with at least the currency's decimals; further ones are kept. */
export function amountText(amount, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  // Not formatted by it: it would round, and a number would lose digits.
  const { minimumFractionDigits: decimals } = format.resolvedOptions();
  const [whole, fraction = ""] = amount.split(".");
  const shown = fraction.padEnd(decimals, "0");
  return shown ? `${whole}.${shown}` : whole;
}

/** A cost as text, `0.40 USD, reserved`; a settled one needs no word. */
export const costText = ({ amount, currency, state }) =>
  `${amountText(amount, currency)} ${currency}${state === "settled" ? "" : `, ${state}`}`;

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
    [["User", byUser], ["Kind", byKind]].map(([name, { rows }]) =>
      rows.length > 0 && table(`Cost by ${name.toLowerCase()}`, [name, ...COLUMNS], rows.map((row) => spendRow(row, byKind.currency)))));
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
    text: (amount) => amountText(amount, currency),
  });
}

function spendRow({ key, jobs, settled, reserved, unknown }, currency) {
  const shown = amountText(unknown, currency);
  return h("tr", {},
    h("th", { scope: "row" }, key),
    [String(jobs), amountText(settled, currency), amountText(reserved, currency)]
      .map((text) => h("td", { class: "number" }, text)),
    h("td", { class: "number" }, unknown === "0" ? shown : chip("warning", shown, "?")));
}
