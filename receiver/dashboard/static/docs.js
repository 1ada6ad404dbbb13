// Draws /docs: the reference of the API, from /openapi.json.

import { addressOf } from "./api.js";
import { curl } from "./curl.js";
import { h } from "./dom.js";
import { keyField, tryIt } from "./try-it.js";

const BOUNDS = ["format", "minimum", "exclusiveMinimum", "maximum", "maxLength", "default"];

/** Open the element that the URL's fragment names: the browser looked before it existed. */
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}

function reference({ info, tags, paths, webhooks, components }) {
  const sections = [...tags.map(({ name }) => name), "Documents"];
  return [
    h("p", {}, `${info.summary} Version ${info.version}.`),
    keyField,
    h("nav", { "aria-label": "Sections" }, sections.map((name) => h("a", { href: `#${anchor(name)}` }, name))),
    tags.map(({ name, description }) => [
      h("h2", { id: anchor(name) }, name), h("p", {}, prose(description)),
      operations(paths, name).map(({ method, key, operation }) =>
        section(method, key, operation, [h("h3", {}, "curl"),
          h("pre", { class: "curl" }, curl(method, key, operation)), tryIt(method, key, operation)])),
      operations(webhooks, name).map(({ method, key, operation }) =>
        section(method, `your webhookUrl (${key})`, operation)),
    ]),
    h("h2", { id: "documents" }, "Documents"),
    Object.entries(components.schemas).map(([name, schema]) => documented(name, schema)),
  ].flat(Infinity);
}

function operations(items, tag) {
  return Object.entries(items).flatMap(([key, item]) => Object.entries(item)
    .filter(([, operation]) => operation.tags.includes(tag))
    .map(([method, operation]) => ({ method: method.toUpperCase(), key, operation })));
}

/** The document with its shared parameters and responses in the operations that refer to them. */
function whole({ components, ...document }) {
  const found = (each) => (each.$ref ? components[each.$ref.split("/").at(-2)][nameOf(each)] : each);
  for (const item of Object.values(document.paths)) {
    for (const operation of Object.values(item)) {
      operation.parameters = operation.parameters?.map(found);
      for (const status in operation.responses) operation.responses[status] = found(operation.responses[status]);
    }
  }
  return { components, ...document };
}

function section(method, where, operation, forms) {
  const { operationId, summary, security = [], parameters, requestBody, responses } = operation;
  return h("details", { id: operationId },
    h("summary", {}, h("b", {}, method), h("code", {}, where), h("span", {}, prose(summary))),
    h("div", {},
      security.length > 0 && h("p", { class: "soft" },
        `Authentication: ${security.flatMap(Object.keys).join(" or ")}.`),
      parameters && [h("h3", {}, "Parameters"), h("table", {}, parameters.map((each) => row(each.name,
        soft(`${each.in}${each.required ? ", required" : ""}. ${constraints(each.schema)}`), each.description)))],
      requestBody && [h("h3", {}, "Body"), h("p", {}, content(requestBody.content))],
      forms,
      h("h3", {}, "Responses"),
      h("table", {}, Object.entries(responses).map(([status, response]) =>
        row(status, content(response.content ?? {}), response.description)))));
}

function documented(name, { description, properties = {}, required = [], examples = [] }) {
  const [sentence] = description?.split(/(?<=[.:]) /) ?? [];
  return h("details", { id: `schema-${name}` },
    h("summary", {}, h("code", {}, name), sentence && h("span", {}, prose(sentence.replace(/:$/, ".")))), h("div", {},
    description !== sentence && h("p", {}, prose(description)),
    h("table", {}, Object.entries(properties).map(([member, schema]) => row(member,
      soft(`${required.includes(member) ? "" : "optional. "}${constraints(schema)}`), schema.description))),
    examples.map((example) => [h("h3", {}, "Example"), h("pre", { tabindex: 0 }, JSON.stringify(example, null, 2))])));
}

const row = (name, details, description = "") =>
  h("tr", {}, h("td", {}, h("code", {}, name)), h("td", {}, prose(description), " ", details));

const soft = (text) => h("span", { class: "soft" }, text);

/** A text with its `code` marked. */
const prose = (text) =>
  text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

const content = (types) => Object.entries(types).map(([type, { schema }]) => {
  const name = schema && nameOf(schema);
  return [name && h("a", { href: `#schema-${name}` }, name), soft(` ${type} `)];
});

/** A short summary of a schema; openapi.json has the details. */
function constraints(schema) {
  if (schema.$ref) return nameOf(schema);
  if (schema.anyOf) return schema.anyOf.map(constraints).join(" or ");
  const words = [];
  if (schema.enum) words.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  else if (schema.type) words.push([schema.type].flat().join(" or "));
  if (schema.items) words.push(`of ${constraints(schema.items)}`);
  for (const name of BOUNDS) if (name in schema) words.push(`${name} ${JSON.stringify(schema[name])}`);
  return words.join(", ");
}

const nameOf = (schema) => schema.$ref.split("/").at(-1);

const anchor = (name) => name.toLowerCase().replaceAll(" ", "-");

const place = document.getElementById("reference");
try {
  const response = await fetch(addressOf("/openapi.json"));
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  place.replaceWith(...reference(whole(await response.json())));
} catch (error) {
  place.textContent = `The reference cannot be loaded: ${error.message}`;
}
addEventListener("hashchange", openTarget);
openTarget();
