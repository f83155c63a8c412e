// Pushes with prom-client's own Pushgateway class as an application does.
// Usage: node push.js URL push|pushAdd|delete JOB FACTOR GROUPINGS(JSON) [default|openmetrics]
// Prints {"status": of the answer, "text": what prom-client itself prints of the registry}.
"use strict";
const client = require("prom-client");

const [url, what, jobName, factor, groupings, kind] = process.argv.slice(2);

function instrument(registry) {
  const registers = [registry];
  const jobs = new client.Counter({ name: "jobs_total", help: 'with "quotes"\nand \\', labelNames: ["state"], registers });
  jobs.inc({ state: 'a\\b\n"c" é' }, 5 * Number(factor));
  new client.Gauge({ name: "nobody_knows", help: "NaN", registers }).set(NaN);
  new client.Gauge({ name: "below", help: "below zero", registers }).set(-1.5);
  const latency = new client.Histogram({ name: "latency_seconds", help: "latency", buckets: [0.1, 1, 10], registers });
  for (const seconds of [0.05, 0.5, 5, 50]) latency.observe(seconds);
  new client.Summary({ name: "size_bytes", help: "sizes", percentiles: [0.5, 0.9], registers }).observe(100);
}

async function main() {
  const type = kind === "openmetrics" ? client.Registry.OPENMETRICS_CONTENT_TYPE : client.Registry.PROMETHEUS_CONTENT_TYPE;
  const registry = kind === "default" ? client.register : new client.Registry(type);
  if (kind === "default") client.collectDefaultMetrics();
  instrument(registry);
  const gateway = new client.Pushgateway(url, {}, registry);
  const { resp } = await gateway[what]({ jobName, groupings: JSON.parse(groupings) });
  console.log(JSON.stringify({ status: resp.statusCode, text: await registry.metrics() }));
}

main().then(() => process.exit(0));
