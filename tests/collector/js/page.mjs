// A page that records itself with rrweb and OpenTelemetry's SDK for browsers: `record(URL OF THE COLLECTOR, SESSION_ID)`.
// What it has sent stays in `window.sent`, for the test to compare: rrweb's events, and spans as OTLP/JSON.
import { SpanKind } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { WebTracerProvider } from "@opentelemetry/sdk-trace-web";
import { record } from "@rrweb/record";

window.record = (url, session) => {
  const resource = resourceFromAttributes({ "service.name": "page", "telemetry.sdk.language": "webjs", "session.id": session });
  const logs = new LoggerProvider({
    resource,
    processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${url}/v1/logs` }), scheduledDelayMillis: 200 })],
  });
  const kept = new InMemorySpanExporter();
  const traces = new WebTracerProvider({
    resource,
    spanProcessors: [new SimpleSpanProcessor(kept), new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))],
  });
  const recorder = logs.getLogger("rrweb");
  const tracer = traces.getTracer("page");
  const events = [];

  const stop = record({
    emit(event) {
      events.push(event);
      recorder.emit({
        body: JSON.stringify(event),
        attributes: { "rr-web.event": events.length, "rr-web.offset": events.length, "rr-web.stream": "tab" },
      });
    },
  });
  document.addEventListener("click", () => {
    tracer.startSpan("click", { kind: SpanKind.INTERNAL, attributes: { "browser.action": "click" } }).end();
  });

  window.sent = async () => {
    stop();
    await Promise.all([logs.forceFlush(), traces.forceFlush()]);
    const spans = new TextDecoder().decode(JsonTraceSerializer.serializeRequest(kept.getFinishedSpans()));
    return { events: JSON.parse(JSON.stringify(events)), spans: JSON.parse(spans) };
  };
};
