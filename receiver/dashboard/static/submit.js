// The form that submits a job.

import { createJob } from "./actions.js";
import { backLink } from "./address.js";
import { get, parseExactly, session } from "./api.js";
import { curlOfJob } from "./curl.js";
import { announce, failure, h, main } from "./dom.js";
import { jsonView } from "./json.js";
import { chip } from "./words.js";

/** The fields with models, and the schemas that list them. */
const MODELS = { image_model: "ImageModel", video_model: "VideoModel" };
const [MOVIE, NARRATIVE, OTHER] = ["create_movie", "create_narrative", "other"];
/** The form's fields for JSON pointers that do not name a field. */
const FIELDS = { "/kind": "other_kind", "/input": "input_json" };

/** What users have typed and not submitted, by name. It outlives the view, which ends with the session. */
const drafts = new Map();

/** Show the form until `signal`. */
export function showForm(user, signal) {
  const problem = h("div");
  const command = h("div");
  const send = h("button", { class: "primary" }, "Submit");
  const form = h("form", { class: "form", novalidate: true },
    h("fieldset", { class: "choice" }, h("legend", {}, "Kind"),
      radio(MOVIE, MOVIE, "a video from one prompt", true),
      radio(NARRATIVE, NARRATIVE, "a scene for each line"),
      radio(OTHER, "Another provider", "its own kind and input")),
    h("input", { type: "hidden", name: "known" }),
    part([MOVIE], field("prompt", "Prompt", h("textarea", { rows: 3 }), "A lighthouse at dawn")),
    part([NARRATIVE], field("prompt_list", "Scenes, one per line", h("textarea", { rows: 4 }),
      "The fox finds a map.\nThe map leads to the sea.")),
    part([OTHER],
      h("div", { class: "columns" },
        field("provider", "Provider", h("select")),
        field("other_kind", "Kind", h("input", { placeholder: "owner/name, or an endpoint" }))),
      field("input_json", "Input, as JSON", h("textarea", { rows: 5, spellcheck: "false" }),
        '{"prompt": "a lighthouse at dawn"}')),
    part([MOVIE, NARRATIVE], h("div", { class: "columns" },
      field("image_model", "Image model", h("input", { list: "image_model-models" }), "IMAGEN3"),
      part([MOVIE], field("video_model", "Video model", h("input", { list: "video_model-models" }), "LUMA")),
      part([MOVIE], field("duration", "Seconds", h("input", { inputmode: "numeric" }), "10")),
      field("aspect_ratio", "Aspect ratio", h("input", { placeholder: "16:9" })))),
    field("title", "Title", h("input", { maxlength: 512 }), "",
      "Shown here in place of the prompt's beginning; kept as metadata.title."),
    field("webhookUrl", "Webhook", h("input", { type: "url", inputmode: "url" }), "",
      "An https URL of yours that receives status changes."),
    Object.keys(MODELS).map((name) => h("datalist", { id: `${name}-models` })),
    problem,
    h("p", { class: "actions" }, send, backLink("/", "Back", "button")),
    h("details", { toggle: drawCurl }, h("summary", {}, "As a curl command"), command),
  );

  async function submit(event) {
    event.preventDefault();
    clearErrors(form);
    problem.replaceChildren();
    if (read(new FormData(form)).input === undefined) {
      showErrors(form, [{ pointer: "/input", detail: "The input must be a JSON object." }]);
      return;
    }
    form.inert = true; // what would be typed now is not sent
    send.textContent = "Submitting…";
    announce("Submitting the job…");
    drafts.delete(user.name); // a form that is opened meanwhile is for another job
    await choices; // a provider is one of them
    const sent = new FormData(form);
    try {
      if (session.user !== user.name) throw new Error("signed out");
      await createJob(read(sent), signal);
    } catch (error) {
      if (!drafts.has(user.name)) drafts.set(user.name, sent);
      if (signal.aborted) return;
      form.inert = false;
      send.textContent = "Submit";
      send.focus();
      announce("");
      if (!showErrors(form, error.fieldErrors)) problem.replaceChildren(failure(error));
    }
  }

  function drawCurl() {
    const { open } = command.parentNode;
    const body = read(new FormData(form));
    const shown = body.input === undefined ? "The input is not a JSON object yet."
      : jsonView(curlOfJob(body), "the command");
    command.replaceChildren(open ? shown : "");
  }

  function typed() {
    drafts.set(user.name, new FormData(form));
    drawCurl();
  }

  // The browser asks before it leaves a page with input that is not sent, or not answered.
  addEventListener("beforeunload", (event) => (drafts.has(user.name) || form.inert) && event.preventDefault(), { signal });
  form.addEventListener("submit", submit);
  form.addEventListener("input", typed);
  form.addEventListener("change", () => choose(form));
  const kept = drafts.get(user.name) ?? new FormData();
  for (const [name, value] of kept) form.elements[name].value = value;
  choose(form);
  const choices = offerChoices(form, kept.get("provider")).then(drawCurl);
  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "New job")),
    h("p", { class: "hint" }, "A job is stored before it is sent to the provider, and sent only once. ",
      "Then watch it: ", chip("PENDING"), " → ", chip("IN_PROGRESS"), " → ", chip("COMPLETED")),
    form,
  );
}

/**
 * Offer the models and providers of the service, with one of them selected. If they cannot be read,
 * any model can be typed.
 */
async function offerChoices(form, selected) {
  offer(form, OTHER, false);
  const { components } = await get("/openapi.json").catch(() => ({}));
  const running = components?.schemas.Provider?.enum ?? [];
  const movieProviders = components?.schemas.MovieProvider?.enum ?? [];
  const known = running.find((name) => movieProviders.includes(name));
  const others = running.filter((name) => !movieProviders.includes(name));
  if (components) form.elements.known.value = known ?? ""; // else what a kept draft was sent with
  form.elements.provider.replaceChildren(...others.map((value) =>
    h("option", { value, selected: value === selected }, value)));
  offer(form, OTHER, others.length > 0);
  if (!known && others.length > 0) {
    for (const kind of [MOVIE, NARRATIVE]) offer(form, kind, false);
    form.elements.kind.value = OTHER;
    choose(form);
  }
  for (const [name, schema] of Object.entries(MODELS)) {
    const models = components?.schemas[schema].enum ?? [];
    form.querySelector(`#${name}-models`).replaceChildren(...models.map((value) => h("option", { value })));
  }
}

function offer(form, kind, offered) {
  form.querySelector(`[value=${kind}]`).closest("label").hidden = !offered;
}

function radio(value, label, hint, checked = false) {
  return h("label", {}, h("input", { type: "radio", name: "kind", value, checked }), ` ${label} `,
    h("small", {}, hint));
}

/** A part of the form that is shown for these kinds. */
const part = (kinds, ...content) => h("div", { class: "part", "data-kinds": kinds.join(" ") }, content);

function field(name, label, control, value = "", hint = "") {
  Object.assign(control, { id: name, name, value, autocomplete: "off" });
  control.setAttribute("aria-describedby", `${name}-hint`);
  return h("div", { class: "field" }, h("label", { for: name }, label), control,
    h("small", { id: `${name}-hint`, "data-hint": hint }, hint));
}

function choose(form) {
  const kind = form.elements.kind.value;
  for (const each of form.querySelectorAll("[data-kinds]")) {
    each.hidden = !each.dataset.kinds.split(" ").includes(kind);
  }
}

function read(data) {
  const text = (name) => (data.get(name) ?? "").trim(); // a list without options has no value
  const kind = data.get("kind");
  const body = kind === OTHER
    ? { provider: text("provider"), kind: text("other_kind"), input: objectIn(text("input_json")) }
    : { provider: text("known") || undefined, kind, input: fieldsOf(kind, text) };
  if (text("title")) body.metadata = { title: text("title") };
  if (text("webhookUrl")) body.webhookUrl = text("webhookUrl");
  return body;
}

/** Parse a JSON object; undefined if the text is not one. */
function objectIn(text) {
  try {
    const value = parseExactly(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function fieldsOf(kind, text) {
  const duration = text("duration");
  const input = kind === MOVIE
    ? {
        prompt: text("prompt"),
        video_model: text("video_model"),
        // Anything but a number is sent unchanged, and the service reports the error.
        duration: duration === "" || Number.isNaN(Number(duration)) ? duration : Number(duration),
      }
    : { prompt_list: text("prompt_list").split("\n").map((line) => line.trim()).filter(Boolean) };
  input.image_model = text("image_model");
  if (text("aspect_ratio")) input.aspect_ratio = text("aspect_ratio");
  return input;
}

/** Show each error at its field, which can have several. False if one has no visible field. */
function showErrors(form, errors) {
  const shown = errors.map(({ pointer, detail }) => ({ control: form.elements[fieldOf(form, pointer)], detail }));
  const isLost = ({ control }) => !control?.id || control.closest("[hidden]");
  if (shown.length === 0 || shown.some(isLost)) return false;
  for (const { control, detail } of shown) {
    const hint = document.getElementById(`${control.id}-hint`);
    hint.textContent = control.hasAttribute("aria-invalid") ? `${hint.textContent} ${detail}` : detail;
    control.setAttribute("aria-invalid", "true");
  }
  shown[0].control.focus();
  return true;
}

function fieldOf(form, pointer) {
  if (pointer.startsWith("/metadata")) return "title";
  return FIELDS[pointer] ?? pointer.split("/").find((each) => form.elements[each]);
}

function clearErrors(form) {
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    const hint = document.getElementById(`${control.id}-hint`);
    hint.textContent = hint.dataset.hint;
  }
}
