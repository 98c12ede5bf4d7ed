// Sends spans with OpenTelemetry's JavaScript exporter; prints how many of the batches it has delivered.
// Usage: node exporter.mjs URL TRACE_ID BATCHES SPANS
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";

const [url, traceId, batches, spans] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url, timeoutMillis: 20_000, concurrencyLimit: Number(batches) });
const resource = resourceFromAttributes({ "service.name": "js" });

function span(number) {
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

let number = 0;
const batch = () => Array.from({ length: Number(spans) }, () => span(++number));
const send = (items) => new Promise((done) => exporter.export(items, done));
const results = await Promise.all(Array.from({ length: Number(batches) }, () => send(batch())));
await exporter.shutdown();
console.log(results.filter((result) => result.code === 0).length);
