// Small SVG charts over time: stacked bars, and lines.

import { h } from "./dom.js";
import { duration, HOUR, MINUTE } from "./times.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, TOP] = [480, 120, 4];

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The lowest 1, 2 or 5 times a power of ten that is at least `value`; 1 for 0. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/**
 * A stacked bar for each moment. `series` are `{name, look, values}`, from the bottom up; a value is
 * a number or a decimal text, and `text(value)` is how it is shown. `labels` name the moments;
 * `summary` is the text alternative; `open(index)` is called for a click on a bar.
 */
export function bars({ series, labels, summary, open, text = String }) {
  const totals = labels.map((_, index) => series.reduce((sum, { values }) => sum + Number(values[index]), 0));
  const most = roundUp(Math.max(...totals));
  const step = WIDTH / labels.length;
  const picture = frame(summary);
  labels.forEach((label, index) => {
    let top = HEIGHT;
    const parts = series.filter(({ values }) => values[index] > 0).map(({ look, values }) => {
      const height = (values[index] / most) * (HEIGHT - TOP);
      top -= height;
      return svg("rect", { x: index * step + 1, y: top, width: step - 2, height, class: `part ${look}` });
    });
    const words = series.map(({ name, values }) => `${name}: ${text(values[index])}`).join("\n");
    const bar = moment(index, step, `${label}\n${words}`, parts);
    if (open) {
      bar.classList.add("link");
      bar.addEventListener("click", () => open(index));
    }
    picture.append(bar);
  });
  const scale = most.toLocaleString("en", { useGrouping: false, maximumFractionDigits: 20 }); // no exponent
  return figure(picture, series, labels, text(scale));
}

/** A line for each series, of durations in milliseconds; null values are gaps. */
export function lines({ series, labels, summary }) {
  const longest = Math.max(1, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const whole = longest < MINUTE ? 1 : longest < HOUR ? MINUTE : HOUR;
  const most = roundUp(longest / whole) * whole;
  const unit = (value) => duration(value, true);
  const step = WIDTH / labels.length;
  const picture = frame(summary);
  const at = (value, index) => [(index + 0.5) * step, HEIGHT - (value / most) * (HEIGHT - TOP)];
  for (const { look, values } of series) {
    let path = "";
    values.forEach((value, index) => {
      if (value === null) return;
      const [x, y] = at(value, index);
      path += `${values[index - 1] == null ? "M" : "L"}${x},${y}`;
      picture.append(svg("circle", { cx: x, cy: y, r: 2.5, class: `dot ${look}` }));
    });
    picture.append(svg("path", { d: path, class: `line ${look}`, "vector-effect": "non-scaling-stroke" }));
  }
  labels.forEach((label, index) => {
    const words = series.map(({ name, values }) =>
      `${name}: ${values[index] === null ? "–" : unit(values[index])}`).join("\n");
    picture.append(moment(index, step, `${label}\n${words}`, []));
  });
  return figure(picture, series, labels, duration(most, most < MINUTE));
}

function frame(summary) {
  const grid = [0, 0.5].map((share) => svg("line", {
    x1: 0, x2: WIDTH, y1: TOP + share * (HEIGHT - TOP), y2: TOP + share * (HEIGHT - TOP), class: "grid",
  }));
  return svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": summary,
    class: "chart",
  }, ...grid);
}

/** The parts of one moment, with a tooltip. */
function moment(index, step, words, parts) {
  const title = svg("title", {});
  title.textContent = words;
  const area = svg("rect", { x: index * step, y: 0, width: step, height: HEIGHT, class: "area" });
  return svg("g", { class: "moment" }, title, area, ...parts);
}

function figure(picture, series, labels, most) {
  return h("figure", {},
    h("div", { class: "scale" }, most), picture,
    h("div", { class: "axis", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((share) =>
      h("span", {}, labels[Math.round(share * (labels.length - 1))]))),
    h("figcaption", {}, series.map(({ name, look }) => h("span", { class: `key ${look}` }, name))));
}
