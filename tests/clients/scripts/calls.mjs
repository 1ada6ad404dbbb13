// What the scripts of the JavaScript clients share: `node SCRIPT ROOT KEY [CALL…]`.

import { createServer } from "node:http";

export const [ROOT, KEY, ...NAMES] = process.argv.slice(2);
export const INPUT = { prompt: "A heron" };
const AT_ONCE = 20; // orders

// Do the calls that are named, or all but `orders`, and print what each got or raised.
export async function run(calls) {
  const names = NAMES.length ? NAMES : Object.keys(calls).filter((name) => !name.startsWith("orders"));
  for (const call of names) {
    let said;
    try {
      said = { got: await calls[call]() };
    } catch (error) {
      said = { raised: `${error.name}: ${error.message}` };
    }
    console.log(JSON.stringify({ call, ...said }));
  }
}

// A call that orders `ORDERS` jobs, and each again until it is answered, as an application would.
// With `KEYS`, an order's attempts share a key.
export const orders = (create) => async () => {
  const answered = new Set();
  let errors = 0;
  let next = 0;
  async function orderSome() {
    while (next < Number(process.env.ORDERS)) {
      const key = `order-${next++}`;
      for (let isAnswered = false; !isAnswered; ) {
        try {
          answered.add(await create(process.env.KEYS ? key : undefined));
          isAnswered = true;
        } catch {
          errors += 1; // it is ordered again
        }
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, orderSome));
  return { jobs: answered.size, errors };
};

// A webhook address on this machine: its `url`, and `last`, the headers and body of the message
// about the end of a prediction.
export async function webhooks() {
  let tell;
  const last = new Promise((resolve) => (tell = resolve));
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      response.writeHead(204).end();
      if (JSON.parse(body).status !== "succeeded") return;
      tell({ headers: request.headers, body });
      server.close();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/hook`, last };
}
