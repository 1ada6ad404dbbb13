// Calls of the AI SDK with `@ai-sdk/replicate`. It downloads the results; here they are made up.

import { createReplicate } from "@ai-sdk/replicate";
import { experimental_generateVideo as generateVideo, generateImage } from "ai";
import { INPUT, KEY, ROOT, orders, run } from "./calls.mjs";

const FILES = "https://results.example.com/";
const PNG = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
const file = (url) => Buffer.concat([PNG, Buffer.from(String(url))]);
const shown = ({ uint8Array }) => Buffer.from(uint8Array.slice(PNG.length)).toString();

const replicate = createReplicate({
  apiToken: KEY,
  baseURL: `${ROOT}/v1`,
  fetch: (url, init) =>
    String(url).startsWith(FILES)
      ? new Response(file(url), { headers: { "content-type": "image/png" } })
      : fetch(url, init),
});

const image = (key) =>
  generateImage({
    model: replicate.image("owner/name"),
    prompt: INPUT.prompt,
    providerOptions: { replicate: { pollIntervalMillis: 50 } },
    headers: key ? { "Idempotency-Key": key } : {},
  });

const video = () =>
  generateVideo({
    model: replicate.video("owner/name"),
    prompt: INPUT.prompt,
    duration: 4,
    poll: { intervalMs: 50 },
    download: async ({ url }) => ({ data: file(url), mediaType: "video/webm" }),
  });

await run({
  generateImage: async () => shown((await image()).image),
  experimental_generateVideo: async () => shown((await video()).video),
  "orders of images": orders(async (key) => shown((await image(key)).image)),
  "orders of videos": orders(async () => shown((await video()).video)),
});
