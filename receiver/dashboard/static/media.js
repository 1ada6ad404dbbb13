// Media in results: thumbnails in lists, players on the job's page.

import { h } from "./dom.js";

const PICTURE = /\.(svg|png|jpe?g|gif|webp|avif)([?#]|$)/i;
const VIDEO = /\.(mp4|webm|mov|m4v|ogv)([?#]|$)/i;
const SOUND = /\.(mp3|wav|ogg|m4a|flac|aac)([?#]|$)/i;
/** How many files of a result are shown one by one. */
export const MOST_SHOWN = 6;

const KINDS = { image: "picture", video: "video", audio: "sound" };

/**
 * The links of a result, each `{url, kind, kept}`. `kind` is null if neither the link nor the
 * archive tells it; `kept` is our own URL of the archived file, if there is one.
 */
function mediaOf(job) {
  const found = [];
  collect(job.result, "", found);
  return found.map((media) => withFile(job, media));
}

function withFile(job, media) {
  const index = (job.archive ?? []).findIndex(({ link, state }) => link === media.url && state === "stored");
  if (index < 0) return media;
  const [type] = job.archive[index].content_type.split("/");
  return { ...media, kind: KINDS[type] ?? media.kind, kept: `${job.links.self}/result?n=${index + 1}` };
}

function collect(value, name, found) {
  if (typeof value === "string") {
    if (isLink(value)) found.push({ url: value, kind: kindOf(value, name) });
  } else if (value && typeof value === "object") {
    for (const [key, each] of Object.entries(value)) collect(each, Array.isArray(value) ? name : key, found);
  }
}

const isLink = (text) => ["http:", "https:"].includes(text.slice(0, text.indexOf(":") + 1).toLowerCase());

function kindOf(url, name) {
  if (PICTURE.test(url)) return "picture";
  if (SOUND.test(url)) return "sound";
  return VIDEO.test(url) || name === "videoUrl" ? "video" : null;
}

// The main link, which is renewed, is opened through our own URL too.
const addressOf = (job, { kept, url }) =>
  kept ?? (job.result?.videoUrl === url ? `${job.links.self}/result?n=1` : url);

/** The kind and the address of each link of a result, for `player`. */
export const sourcesOf = (job) =>
  mediaOf(job).map((media) => ({ kind: media.kind, src: addressOf(job, media) }));

/** A thumbnail of a job's result; `glyph` if there is none. */
export function thumbnail(job, glyph) {
  const [media] = mediaOf(job);
  const box = (content) => h("span", { class: "thumb", "aria-hidden": "true" }, content);
  // The direct link: our own URL would make a status call for each expired one.
  const src = media?.kept ?? media?.url;
  const error = (event) => event.target.replaceWith(media.kind === "video" ? "▶" : glyph);
  switch (media?.kind) {
    case "picture":
      return box(h("img", { src, alt: "", loading: "lazy", error }));
    case "video": {
      const video = h("video", { muted: true, playsinline: true, preload: "none", tabindex: -1, error });
      video.wanted = `${src}#t=0.1`;
      whenSeen.observe(video);
      return box(video);
    }
    case "sound":
      return box("♪");
    default:
      return box(glyph);
  }
}

// A video's first frame is loaded when its row becomes visible.
const whenSeen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    whenSeen.unobserve(target);
    target.preload = "metadata";
    target.src = target.wanted;
  }
});

/** The state of a result's archived files, in one line: of each, or of many their number by state. */
export function filesOf(files = []) {
  if (files.length > MOST_SHOWN) {
    const counts = new Map();
    for (const { state } of files) counts.set(state, (counts.get(state) ?? 0) + 1);
    return [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
  }
  const states = files.map(({ state, bytes, error }) =>
    state === "stored" ? `stored, ${size(bytes)}` : error ? `${state} (${error})` : state);
  return states.map((state, index) => (states.length > 1 ? `${index + 1}: ${state}` : state)).join("; ");
}

function size(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The result, as shown on the job's page: the first few, and links to all. */
export function player(sources) {
  return h("div", { class: sources.length > 1 ? "gallery" : "" }, sources.map(({ kind, src }, index) => {
    const number = sources.length > 1 ? ` ${index + 1}` : "";
    return h("figure", {}, index < MOST_SHOWN && shown(kind, src, `The result${number}`),
      h("figcaption", {}, h("a", { href: src, target: "_blank", rel: "noopener noreferrer" },
        `Open the result${number}`)));
  }));
}

function shown(kind, src, alt) {
  const error = (event) => event.target.replaceWith(h("p", { class: "notice" }, "It cannot be shown here."));
  const attributes = { src, class: "result", error };
  switch (kind) {
    case "picture":
      return h("img", { ...attributes, alt });
    case "video":
      return h("video", { ...attributes, controls: true, playsinline: true });
    case "sound":
      return h("audio", { ...attributes, controls: true });
    default:
      return null;
  }
}
