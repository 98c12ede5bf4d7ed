// Makes a trace with OpenTelemetry's SDK for Node.js, sends it to a Collector, and prints as OTLP/JSON what it has sent.
// Usage: node send.mjs http://HOST:PORT SESSION_ID
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [url, session] = process.argv.slice(2);
const kept = new InMemorySpanExporter();
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "node-shop", "service.instance.id": "é😀" }),
  spanProcessors: [
    new SimpleSpanProcessor(kept),
    new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` })),
  ],
});
const tracer = provider.getTracer("shop", "1.2.3", { schemaUrl: "https://opentelemetry.io/schemas/1.37.0" });

const attributes = { "session.id": session };
const root = tracer.startSpan("POST /chat", { kind: SpanKind.SERVER, attributes: { ...attributes, "http.response.status_code": 500 } });
const chat = tracer.startSpan(
  "chat gpt-4o-mini",
  {
    kind: SpanKind.CLIENT,
    attributes: {
      ...attributes,
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-4o-mini",
      "gen_ai.usage.input_tokens": 12,
      "gen_ai.request.temperature": 0.1,
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: "May I\n\"return\" it? 😀" }] }]),
      streamed: true,
      weights: [0.25, -1e-9],
    },
    links: [{ context: root.spanContext(), attributes: { why: "asked" } }],
  },
  trace.setSpan(context.active(), root),
);
chat.addEvent("first token", { at: 7 });
chat.end();
root.recordException(new RangeError("out of stock"));
root.setStatus({ code: SpanStatusCode.ERROR, message: "out of stock" });
root.end();

await provider.forceFlush();
console.log(new TextDecoder().decode(JsonTraceSerializer.serializeRequest(kept.getFinishedSpans())));
await provider.shutdown();
