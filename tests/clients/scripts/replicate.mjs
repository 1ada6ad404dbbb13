// Calls of npm's `replicate`.

import Replicate, { validateWebhook } from "replicate";
import { INPUT, KEY, ROOT, orders, run, webhooks } from "./calls.mjs";

const MODEL = "owner/name";
const VERSION = `owner/name:${"5c".repeat(32)}`;
const POLL = { mode: "poll", interval: 50 };

const client = (key) =>
  new Replicate({
    auth: KEY,
    baseUrl: `${ROOT}/v1`,
    fetch: (url, init) =>
      fetch(url, key ? { ...init, headers: { ...init.headers, "Idempotency-Key": key } } : init),
  });
const replicate = client();
const create = (members) => replicate.predictions.create({ model: MODEL, input: INPUT, ...members });
const shown = (output) => output.map((file) => `${file.constructor.name} ${file.url()}`);

await run({
  run: async () => shown(await replicate.run(MODEL, { input: INPUT })),
  "run with a timeout": async () =>
    shown(await replicate.run(MODEL, { input: INPUT, wait: { mode: "block", timeout: 1 } })),
  "run by polling": async () => shown(await replicate.run(MODEL, { input: INPUT, wait: POLL })),
  "run with a version": async () => shown(await replicate.run(VERSION, { input: INPUT })),
  "run with progress": async () => {
    const seen = [];
    const progress = (prediction) => seen.push(prediction.status);
    await replicate.run(MODEL, { input: INPUT, wait: POLL }, progress);
    return [seen.at(0), seen.at(-1)];
  },
  "create, wait, get": async () => {
    const made = await create();
    const ended = await replicate.wait(made, { interval: 50 });
    const again = await replicate.predictions.get(made.id);
    return [made.status, ended.status, again.status, again.output, again.input, again.model];
  },
  cancel: async () => (await replicate.predictions.cancel((await create()).id)).status,
  "an aborted run": async () => {
    const controller = new AbortController();
    const seen = [];
    const progress = (prediction) => {
      seen.push(prediction.status);
      controller.abort();
    };
    const { signal } = controller;
    const output = await replicate.run(MODEL, { input: INPUT, wait: POLL, signal }, progress);
    return [output, seen.at(-1)];
  },
  list: async () => {
    const made = await create();
    for await (const page of replicate.paginate(replicate.predictions.list)) {
      const found = page.find((each) => each.id === made.id);
      if (found) return [found.input, found.model];
    }
  },
  "get what is unknown": async () => {
    try {
      await replicate.predictions.get("nobody");
    } catch (error) {
      return error.response.status;
    }
  },
  validateWebhook: async () => {
    const { url, last } = await webhooks();
    const made = await create({ webhook: url, webhook_events_filter: ["completed"] });
    const { headers, body } = await last;
    const { key } = await replicate.webhooks.default.secret.get();
    return [
      body.includes(made.id),
      await validateWebhook({ headers, body }, key),
      await validateWebhook({ headers, body: `${body} ` }, key),
    ];
  },
  orders: orders(
    async (key) => (await client(key).predictions.create({ model: MODEL, input: INPUT })).id,
  ),
});
