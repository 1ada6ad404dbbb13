// JSON with exact integers of any size. (JavaScript numbers are exact only up to 2^53.)

/** Like `JSON.parse`, but `JSON.stringify` of the value reproduces every integer exactly. */
export function parseExactly(text) {
  return JSON.parse(text, JSON.rawJSON && ((_, value, { source }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)
      ? JSON.rawJSON(source)
      : value));
}
