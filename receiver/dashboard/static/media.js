// Media in results: thumbnails in lists, players on the job's page.

import { h } from "./dom.js";

const PICTURE = /\.(svg|png|jpe?g|gif|webp|avif)([?#]|$)/i;
const VIDEO = /\.(mp4|webm|mov|m4v|ogv)([?#]|$)/i;
const SOUND = /\.(mp3|wav|ogg|m4a|flac|aac)([?#]|$)/i;
const MOST_SHOWN = 6;

const KINDS = { image: "picture", video: "video", audio: "sound" };

/**
 * The links of a result, each `{url, kind, kept}`; `kind` is null if neither the link nor the archive
 * shows it, `kept` our own URL of the archived file, if it is stored.
 */
export function mediaOf(job) {
  const found = [];
  collect(job.result, "", found);
  return found.slice(0, MOST_SHOWN).map((media) => withFile(job, media));
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
  kept ?? (job.result?.videoUrl === url ? `${job.links.self}/result` : url);

/** A thumbnail of a job's result; `glyph` if there is none. */
export function thumbnail(job, glyph) {
  const [media] = mediaOf(job);
  const box = (...content) => h("span", { class: "thumb", "aria-hidden": "true" }, content);
  if (!media || !["picture", "video"].includes(media.kind)) return box(media?.kind === "sound" ? "♪" : glyph);
  const sorry = () => element.replaceWith("▶");
  // Else the direct link: our own URL would make a status call for each old one.
  const address = media.kept ?? media.url;
  const element = media.kind === "picture"
    ? h("img", { src: address, alt: "", loading: "lazy", error: sorry })
    : h("video", { muted: true, playsinline: true, preload: "none", error: sorry, tabindex: -1 });
  if (media.kind === "video") whenSeen.observe(Object.assign(element, { wanted: `${address}#t=0.1` }));
  return box(element);
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

/** The state of a result's archived files, in one line. */
export function filesOf(files = []) {
  const told = files.map(({ state, bytes, error }) =>
    state === "stored" ? `stored, ${(bytes / 1e6).toFixed(1)} MB` : error ? `${state} (${error})` : state);
  return told.map((words, n) => (told.length > 1 ? `${n + 1}: ${words}` : words)).join("; ");
}

/** The result, as shown on the job's page. */
export function player(job) {
  const all = mediaOf(job);
  return h("div", { class: all.length > 1 ? "gallery" : "" }, all.map((media, index) => {
    const address = addressOf(job, media);
    const many = all.length > 1 ? ` ${index + 1}` : "";
    return h("figure", {}, shown(media.kind, address, many),
      h("figcaption", {}, h("a", { href: address, target: "_blank", rel: "noopener noreferrer" },
        `Open the result${many}`)));
  }));
}

function shown(kind, address, many) {
  const sorry = () => element.replaceWith(h("p", { class: "notice" }, "It cannot be shown here."));
  const attributes = { src: address, class: "result", error: sorry };
  const element = {
    picture: () => h("img", { ...attributes, alt: `The result${many}` }),
    video: () => h("video", { ...attributes, controls: true, playsinline: true }),
    sound: () => h("audio", { ...attributes, controls: true }),
  }[kind]?.() ?? "";
  return element;
}
