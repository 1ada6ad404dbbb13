// npm's `eventsource`: node eventsource.cjs URL KEY. Prints each event as `event id data`.
const { EventSource } = require("eventsource");

const [url, key] = process.argv.slice(2);
const stream = new EventSource(url, {
  fetch: (address, options) =>
    fetch(address, { ...options, headers: { ...options.headers, "API-KEY": key } }),
});
for (const name of ["snapshot", "update", "reset"]) {
  stream.addEventListener(name, (event) =>
    console.log(name, event.lastEventId || "-", event.data),
  );
}
stream.addEventListener("done", (event) => {
  console.log("done", event.lastEventId || "-", event.data);
  stream.close();
});
