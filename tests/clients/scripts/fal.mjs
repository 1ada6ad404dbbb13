// Calls of npm's `@fal-ai/client`.

import { createFalClient } from "@fal-ai/client";
import { INPUT, KEY, ROOT, orders, run } from "./calls.mjs";

const APP = "fal-ai/flux/dev";
const fal = createFalClient({
  credentials: KEY,
  requestMiddleware: async (request) => ({
    ...request,
    url: request.url.replace("https://queue.fal.run", ROOT),
  }),
});

const submit = (headers = {}) => fal.queue.submit(APP, { input: INPUT, headers });

async function subscribe(options) {
  const seen = [];
  let asked;
  const result = await fal.subscribe(APP, {
    input: INPUT,
    logs: true,
    onEnqueue: (id) => (asked = id),
    onQueueUpdate: (update) => seen.push(update.status),
    ...options,
  });
  return [seen.at(-1), result.requestId === asked, result.data];
}

const failure = async (call) => {
  try {
    return await call();
  } catch (error) {
    return [error.name, error.status, typeof error.body?.detail];
  }
};

await run({
  "queue.submit, status, result": async () => {
    const { request_id: requestId } = await submit();
    await fal.queue.subscribeToStatus(APP, { requestId, pollInterval: 50 });
    const { status } = await fal.queue.status(APP, { requestId, logs: true });
    const result = await fal.queue.result(APP, { requestId });
    return [status, result.requestId === requestId, result.data];
  },
  "subscribe by polling": () => subscribe({ mode: "polling", pollInterval: 50 }),
  "subscribe by streaming": () => subscribe({ mode: "streaming" }),
  "result too early": () =>
    failure(async () => fal.queue.result(APP, { requestId: (await submit()).request_id })),
  cancel: async () => {
    const { request_id: requestId } = await submit();
    await fal.queue.cancel(APP, { requestId });
    await fal.queue.subscribeToStatus(APP, { requestId, pollInterval: 50 });
    return (await fal.queue.status(APP, { requestId })).status;
  },
  "cancel too late": () =>
    failure(async () => {
      const { request_id: requestId } = await submit();
      await fal.queue.subscribeToStatus(APP, { requestId, pollInterval: 50 });
      await fal.queue.cancel(APP, { requestId });
    }),
  "status of what is unknown": async () =>
    (await failure(() => fal.queue.status(APP, { requestId: "nobody" }))).slice(0, 2),
  orders: orders(async (key) => (await submit(key ? { "Idempotency-Key": key } : {})).request_id),
});
