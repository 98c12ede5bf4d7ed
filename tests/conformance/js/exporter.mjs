// Sends traces with OpenTelemetry's JavaScript exporter for some seconds; prints what it has delivered, and how often it
// gave up on a batch, which it is then given again.
// Usage: node exporter.mjs URL KIND LANES SECONDS SPANS OTHER_SPANS
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";

const [url, kind, ...numbers] = process.argv.slice(2);
const [lanes, seconds, ...sizes] = numbers.map(Number);
const exporter = new OTLPTraceExporter({ url, timeoutMillis: 20_000, concurrencyLimit: lanes });
const resource = resourceFromAttributes({ "service.name": "js" });
const until = performance.now() + seconds * 1000;
const delivered = { spans: {}, given_up: 0 };

function span(traceId, number) {
  const spanId = number.toString(16).padStart(16, "0");
  return {
    name: "n".repeat(400),
    kind: 0,
    spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
    startTime: [1_700_000_000, number],
    endTime: [1_700_000_001, number],
    duration: [1, 0],
    status: { code: 0 },
    attributes: {},
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: "test" },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const send = (items) => new Promise((done) => exporter.export(items, done));

async function lane(name) {
  for (let number = 1; performance.now() < until; number++) {
    const traceId = name + number.toString(16).padStart(32 - name.length, "0");
    const size = sizes[number % sizes.length];
    const batch = Array.from({ length: size }, (_, place) => span(traceId, place + 1));
    while ((await send(batch)).code !== 0) delivered.given_up++;
    delivered.spans[traceId] = size;
  }
}

await Promise.all(Array.from({ length: lanes }, (_, number) => lane(kind + number.toString(16))));
await exporter.shutdown();
console.log(JSON.stringify(delivered));
