// The form that submits a job.

import { post } from "./api.js";
import { chip, failure, h, main } from "./dom.js";
import { put } from "./live.js";

const MODELS = { image_model: ["IMAGEN3", "FLUX1.1PRO"], video_model: ["LUMA", "KLINGIMGTOVIDPRO"] };

/** Show the form until `signal`. */
export function showForm(_user, signal) {
  const problem = h("div", {});
  const send = h("button", { class: "primary" }, "Submit");
  const form = h("form", { class: "form", novalidate: true },
    h("fieldset", { class: "choice" }, h("legend", {}, "Kind"),
      radio("create_movie", "Movie", "from one prompt", true),
      radio("create_narrative", "Narrative", "a scene for each line")),
    movie(field("prompt", "Prompt", h("textarea", { rows: 3 }), "A lighthouse at dawn")),
    narrative(field("prompt_list", "Scenes, one a line", h("textarea", { rows: 4 }),
      "The fox finds a map.\nThe map leads to the sea.")),
    h("div", { class: "columns" },
      field("image_model", "Image model", h("input", { list: "image_model-models" }), "IMAGEN3"),
      movie(field("video_model", "Video model", h("input", { list: "video_model-models" }), "LUMA")),
      movie(field("duration", "Seconds", h("input", { inputmode: "numeric" }), "10")),
      field("aspect_ratio", "Aspect ratio", h("input", { placeholder: "16:9" }), "")),
    field("label", "Label", h("input", { maxlength: 512 }), "", "Shown in lists; kept as metadata."),
    field("webhookUrl", "Webhook", h("input", { type: "url", inputmode: "url" }), "",
      "An https address of yours that is told what becomes of it."),
    Object.entries(MODELS).map(([name, models]) =>
      h("datalist", { id: `${name}-models` }, models.map((value) => h("option", { value })))),
    problem,
    h("p", { class: "actions" }, send, h("a", { class: "button", href: "#/" }, "Back")),
  );

  // The same body under the same key: a second attempt after a lost answer makes no second job.
  let attempt = { text: "", key: "" };

  async function submit(event) {
    event.preventDefault();
    const body = read(new FormData(form));
    const text = JSON.stringify(body);
    if (text !== attempt.text) attempt = { text, key: randomKey() };
    clearFaults(form);
    problem.replaceChildren();
    send.disabled = true;
    try {
      const job = await post("/v1/jobs", body, { "Idempotency-Key": attempt.key });
      attempt = { text: "", key: "" };
      put(job);
      if (!signal.aborted) location.hash = `#/jobs/${job.request_id}`;
    } catch (error) {
      if (!signal.aborted && !showFaults(form, error.faults)) problem.replaceChildren(failure(error));
    } finally {
      send.disabled = false;
    }
  }

  form.addEventListener("submit", submit);
  form.addEventListener("change", () => choose(form));
  choose(form);
  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "New job")),
    h("p", { class: "hint" }, "It is on disk before the provider hears of it, and is submitted once. ",
      "Then watch it: ", chip("PENDING"), " → ", chip("IN_PROGRESS"), " → ", chip("COMPLETED")),
    form,
  );
}

function radio(value, label, hint, checked = false) {
  return h("label", {}, h("input", { type: "radio", name: "kind", value, checked }), ` ${label} `,
    h("small", {}, hint));
}

const movie = (element) => (element.setAttribute("data-kind", "create_movie"), element);
const narrative = (element) => (element.setAttribute("data-kind", "create_narrative"), element);

function field(name, label, control, value, hint = "") {
  control.id = name;
  control.name = name;
  control.value = value;
  control.setAttribute("aria-describedby", `${name}-hint`);
  control.autocomplete = "off";
  return h("div", { class: "field" }, h("label", { for: name }, label), control,
    h("small", { id: `${name}-hint`, "data-hint": hint }, hint));
}

function choose(form) {
  const kind = form.elements.kind.value;
  for (const part of form.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== kind;
}

function read(data) {
  const text = (name) => data.get(name).trim();
  const kind = data.get("kind");
  const duration = text("duration");
  const input = kind === "create_movie"
    ? {
        prompt: text("prompt"),
        video_model: text("video_model"),
        // What is no number goes as it is, and the service says what is wrong with it.
        duration: duration === "" || Number.isNaN(Number(duration)) ? duration : Number(duration),
      }
    : { prompt_list: text("prompt_list").split("\n").map((line) => line.trim()).filter(Boolean) };
  input.image_model = text("image_model");
  if (text("aspect_ratio")) input.aspect_ratio = text("aspect_ratio");
  const body = { kind, input };
  if (text("label")) body.metadata = { label: text("label") };
  if (text("webhookUrl")) body.webhookUrl = text("webhookUrl");
  return body;
}

/** Say at each field what is wrong with it; false where a fault is of no field shown here. */
function showFaults(form, faults) {
  const places = faults.map(({ pointer, detail }) => {
    const name = pointer.split("/").find((part) => form.elements[part]);
    return { control: form.elements[pointer.startsWith("/metadata") ? "label" : name], detail };
  });
  if (places.length === 0 || places.some(({ control }) => !control?.id)) return false;
  for (const { control, detail } of places) {
    control.setAttribute("aria-invalid", "true");
    document.getElementById(`${control.id}-hint`).textContent = detail;
  }
  places[0].control.focus();
  return true;
}

function clearFaults(form) {
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    const hint = document.getElementById(`${control.id}-hint`);
    hint.textContent = hint.dataset.hint;
  }
}

// `crypto.randomUUID` is missing on plain HTTP.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0")).join("");
}
