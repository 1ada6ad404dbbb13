// Amounts of money: decimal texts, which are never rounded and never become floating-point numbers.

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

/** The exact sum of amounts. */
export function sumOf(amounts) {
  const split = amounts.map((amount) => amount.split("."));
  const digits = Math.max(0, ...split.map(([, fraction = ""]) => fraction.length));
  const units = split.map(([whole, fraction = ""]) => BigInt(whole + fraction.padEnd(digits, "0")));
  const total = String(units.reduce((all, each) => all + each, 0n)).padStart(digits + 1, "0");
  const [whole, fraction] = [total.slice(0, total.length - digits), total.slice(total.length - digits)];
  return [whole, fraction.replace(/0+$/, "")].filter(Boolean).join(".");
}
