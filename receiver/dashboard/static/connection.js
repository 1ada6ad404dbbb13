// The state of the connection, in the header and in a banner.

import { announce, h } from "./dom.js";
import { connection, live, reconnect } from "./live.js";
import { duration } from "./times.js";

const WORDS = { off: "", connecting: "connecting…", live: "live", lost: "disconnected" };
let lost = false;

/** Start showing the state of the connection. */
export function showConnection() {
  live.addEventListener("connection", show);
  setInterval(countDown, 500);
}

function show() {
  const { state } = connection;
  const sign = document.getElementById("connection");
  const banner = document.getElementById("lost");
  sign.hidden = state === "off";
  sign.className = state;
  sign.textContent = WORDS[state];
  if (state === "lost" && !lost) {
    banner.replaceChildren(h("span", {}, "The connection is lost; this page may be out of date. "),
      h("span", { id: "retry", "aria-live": "off" }),
      h("button", { type: "button", class: "small", click: reconnect }, "Try now"));
  }
  if (state === "live" && lost) announce("Connected again.");
  banner.hidden = state !== "lost";
  lost = state === "lost";
}

function countDown() {
  if (!lost) return;
  const left = connection.retryAt - Date.now();
  document.getElementById("retry").textContent =
    left > 0 ? `Next attempt in ${duration(left + 999)}. ` : "Trying… ";
}
