// What jobs cost, by day, and how budgets stand.

import { change, here } from "./address.js";
import { bars } from "./charts.js";
import { card, h, refill, table } from "./dom.js";
import { amountText, sumOf } from "./money.js";
import { DAY, now, until } from "./times.js";
import { chip } from "./words.js";

const DAYS = 30;
/** So many names have a colour of their own; the others share one. */
const MOST_NAMES = 5;
const OTHERS = "others";
const STATES = ["settled", "reserved", "unknown"];
const dayName = new Intl.DateTimeFormat([], { day: "numeric", month: "short", timeZone: "UTC" });
const costOf = (row) => sumOf(STATES.map((state) => row[state]));

/**
 * The card: `query()` asks `/v1/spend` for what `update(spend, budgets)` shows; that returns the card,
 * or null without prices. What is open or has the focus in it stays. `changed` is called after a
 * choice.
 */
export function spendCard(user, changed) {
  const choices = user.admin ? ["kind", "provider", "user"] : ["kind", "provider"];
  const chosen = () => choices.find((each) => each === here().query.get("split")) ?? choices[0];
  const select = h("select", { name: "split", change: choose },
    choices.map((each) => h("option", { value: each, selected: each === chosen() }, each)));
  const chart = h("div");
  const days = h("div");
  const tables = h("div");
  const byDay = h("details", {}, h("summary", {}, "The chart as a table"), days);
  const element = card("Cost",
    h("div", { class: "toolbar" }, h("label", {}, h("span", {}, "Divided by"), select)), chart, byDay, tables);

  function choose() {
    change({ split: select.value });
    changed();
  }

  function update({ currency, rows }, { budgets }) {
    if (currency === null) return null;
    const split = chosen();
    const hint = rows.length === 0 ? `No job of the last ${DAYS} days has a price.`
      : `The last ${DAYS} days by day of creation (UTC), in ${currency}. Reserved: not finished yet.`
        + " Unknown: ended without a result, and perhaps billed.";
    const stacks = stacked(rows);
    byDay.hidden = rows.length === 0;
    select.closest("div").hidden = rows.length === 0;
    refill(chart, [h("p", { class: "hint" }, hint), rows.length > 0 && picture(stacks, currency)].filter(Boolean));
    refill(days, rows.length > 0 ? [dayTable(stacks, currency)] : []);
    refill(tables, [rows.length > 0 && totalTable(split, rows, currency),
      budgets.length > 0 && budgetTable(budgets, currency)].filter(Boolean));
    return element;
  }

  const since = () => new Date(firstDay() - 1).toISOString(); // the bound is exclusive
  return { query: () => ({ by: "day", split: chosen(), created_after: since() }), update };
}

const firstDay = () => Math.floor(now() / DAY) * DAY - (DAYS - 1) * DAY;

/** For each name, the largest first, what its jobs of each day cost. */
function stacked(rows) {
  const first = firstDay();
  const days = Array.from({ length: DAYS }, (_, index) => new Date(first + index * DAY));
  const names = totals(rows).map(({ key }) => key);
  const own = names.length > MOST_NAMES + 1 ? names.slice(0, MOST_NAMES) : names;
  const placed = Map.groupBy(rows, ({ split }) => (own.includes(split) ? own.indexOf(split) : own.length));
  const stacks = [...placed].sort(([one], [other]) => one - other).map(([place, found]) => {
    const ofDay = Map.groupBy(found, ({ key }) => key);
    const values = days.map((day) => sumOf((ofDay.get(day.toISOString().slice(0, 10)) ?? []).map(costOf)));
    const isOwn = place < own.length;
    return { name: isOwn ? own[place] : OTHERS, look: isOwn ? `hue${place}` : "open", values };
  });
  return { days, stacks };
}

/** The rows' sums by name, the largest first. */
function totals(rows) {
  const sums = [...Map.groupBy(rows, ({ split }) => split)].map(([key, found]) => ({
    key, jobs: found.reduce((all, { jobs }) => all + jobs, 0),
    ...Object.fromEntries(STATES.map((state) => [state, sumOf(found.map((row) => row[state]))])),
  }));
  return sums.sort((a, b) => costOf(b) - costOf(a) || a.key.localeCompare(b.key));
}

function picture({ days, stacks }, currency) {
  return bars({
    labels: days.map((day) => dayName.format(day)),
    summary: `What the jobs of each day cost, in ${currency}: ${stacks.map(({ name, values }) =>
      `${name} ${amountText(sumOf(values), currency)}`).join(", ")}`,
    series: stacks,
    text: (amount) => amountText(amount, currency),
  });
}

/** The chart's numbers; days without jobs are left out. */
function dayTable({ days, stacks }, currency) {
  const shown = [...days.keys()].filter((day) => stacks.some(({ values }) => values[day] !== "0")).reverse();
  const cell = (amount) => h("td", { class: "number" }, amountText(amount, currency));
  return table("Cost by day", ["Day", ...stacks.map(({ name }) => name), "All"], shown.map((day) => {
    const amounts = stacks.map(({ values }) => values[day]);
    return h("tr", {}, h("th", { scope: "row" }, dayName.format(days[day])), [...amounts, sumOf(amounts)].map(cell));
  }));
}

function totalTable(split, rows, currency) {
  const columns = [split[0].toUpperCase() + split.slice(1), "Jobs", "Settled", "Reserved", "Unknown"];
  return table(`Cost by ${split}`, columns, totals(rows).map(({ key, jobs, settled, reserved, unknown }) => {
    const unsure = amountText(unknown, currency);
    return h("tr", {}, h("th", { scope: "row" }, key),
      [String(jobs), amountText(settled, currency), amountText(reserved, currency)].map((each) => h("td", { class: "number" }, each)),
      h("td", { class: "number" }, unknown === "0" ? unsure : chip("warning", unsure, "?")));
  }));
}

function budgetTable(budgets, currency) {
  return table("Budgets", ["User", "Spent of the budget", "Period", "Ends"], budgets.map((each) => {
    const [amount, period] = each.budget.split("/");
    const most = sumOf([amount]); // as it was set, it may be .5 or 5.
    const [spent, all] = [Number(each.spent), Number(most)];
    return h("tr", {},
      h("th", { scope: "row" }, each.user),
      h("td", {}, h("span", { class: "progress" },
        h("meter", { min: 0, max: all || 1, value: Math.min(spent, all), "aria-label": `Spent of the budget of ${each.user}` }),
        h("span", { class: "number" }, `${amountText(each.spent, currency)} of ${amountText(most, currency)} ${currency}`),
        spent >= all && chip("warning", "Used up", "!"))),
      h("td", {}, period),
      h("td", {}, until(each.resets_at)));
  }));
}
