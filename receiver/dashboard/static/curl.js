// Requests as curl commands, for a shell that has the key in $KEY.

import { addressOf } from "./api.js";

/** An operation of the API, with example values. */
export function curl(method, path, { parameters = [], security, requestBody, responses }) {
  let url = addressOf(path);
  for (const { name, in: where, required, schema } of parameters) {
    if (where === "path") url = url.replace(`{${name}}`, schema.examples[0]);
    else if (required) url += `?${name}=${schema.examples[0]}`;
  }
  const stream = responses[200]?.content?.["text/event-stream"];
  const words = ["curl", stream ? "-sSN" : "-sS", quoted(url)];
  if (security.length) words.push('-H "API-KEY: $KEY"');
  if (requestBody) {
    const { example } = requestBody.content["application/json"];
    words.push("-H 'Content-Type: application/json'", "-d", quoted(JSON.stringify(example)));
  } else if (method !== "GET") words.push("-X", method);
  return words.join(" ");
}

/** As one word of a shell command. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The submission of a job with this body. Sent again with the same key, it creates no second job. */
export const curlOfJob = (body) => [
  `curl -sS ${addressOf("/v1/jobs")}`,
  '-H "API-KEY: $KEY"',
  '-H "Idempotency-Key: $ORDER"',
  `-d ${quoted(JSON.stringify(body, null, 2))}`,
].join(" \\\n  ");
