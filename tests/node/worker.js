// One Node process instrumented with prom-client: posts register.getMetricsAsJSON() as it is, once, and prints
// the same registry as prom-client's own text, so that the test has a second opinion on every number.
// Usage: node worker.js URL ID FACTOR [anonymous]
"use strict";
const http = require("node:http");
const client = require("prom-client");

const [url, id, factor, anonymous] = [process.argv[2], process.argv[3], Number(process.argv[4]), process.argv[5]];
if (anonymous === undefined) client.register.setDefaultLabels({ _id: id });

function gauge(name, aggregator, value) {
  new client.Gauge({ name, help: `${aggregator} of the workers`, aggregator }).set(value);
}

function instrument() {
  const requests = new client.Counter({ name: "http_requests_total", help: "requests", labelNames: ["path", "code"] });
  requests.inc({ path: "/", code: 200 }, 10 * factor);
  requests.inc({ path: 'with "quotes"\\\n', code: 500 }, factor);
  new client.Counter({ name: "visits", help: "a counter without the suffix" }).inc(factor);
  const latency = new client.Histogram({ name: "latency_seconds", help: "latency", labelNames: ["path"], buckets: [0.1, 1, 10] });
  for (const seconds of [0.05, 0.5, 5, 50]) for (let i = 0; i < factor; i++) latency.observe({ path: "/" }, seconds);
  new client.Summary({ name: "size_bytes", help: "sizes", percentiles: [0.5, 0.99] }).observe(100 * factor);
  for (const aggregator of ["sum", "min", "max", "average", "first", "omit"]) gauge(`g_${aggregator}`, aggregator, factor);
  gauge("g_nan", "sum", NaN);
  gauge("g_half_nan", "sum", factor === 1 ? NaN : factor);
  client.collectDefaultMetrics();
}

function post(body) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/v1/ingest`, { method: "POST" }, (answer) => {
      let text = "";
      answer.on("data", (part) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function main() {
  instrument();
  const answer = await post(JSON.stringify(await client.register.getMetricsAsJSON()));
  console.log(JSON.stringify({ answer, text: await client.register.metrics() }));
}

main().then(() => process.exit(0));
