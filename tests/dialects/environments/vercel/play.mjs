// Plays the conversation through the Vercel AI SDK. Usage: node play.mjs modern|legacy, with STUB_URL, SESSION (also
// the API key), OTEL_EXPORTER_OTLP_ENDPOINT, and CONVERSATION: the constants of tests/dialects/conversation.py as JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { LegacyOpenTelemetry, OpenTelemetry } from "@ai-sdk/otel";
import { trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { embed, generateText, isStepCount, jsonSchema, registerTelemetry, streamText, tool } from "ai";

const [flavor] = process.argv.slice(2);
const { STUB_URL, SESSION, CONVERSATION } = process.env;
const said = JSON.parse(CONVERSATION);

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "conversation" }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
registerTelemetry(flavor === "legacy" ? new LegacyOpenTelemetry() : new OpenTelemetry({ usage: true, runtimeContext: true }));

const openai = createOpenAI({ baseURL: `${STUB_URL}/v1`, apiKey: SESSION });
const recorded = {
  maxRetries: 0,
  runtimeContext: { sessionId: SESSION },
  telemetry: { includeRuntimeContext: { sessionId: true } },
};
const settings = {
  ...recorded,
  model: openai(said.MODEL),
  temperature: said.TEMPERATURE,
  maxOutputTokens: said.MAX_TOKENS,
};
const tools = {
  [said.TOOL_NAME]: tool({
    description: said.TOOL_DESCRIPTION,
    inputSchema: jsonSchema(said.TOOL_PARAMETERS),
    execute: async () => said.TOOL_RESULT,
  }),
};
const user = (content) => ({ role: "user", content });

const step = (name, play) =>
  trace.getTracer("conversation").startActiveSpan(name, async (span) => {
    try {
      return await play();
    } finally {
      span.end();
    }
  });

const answered = await step("tools", () =>
  generateText({ ...settings, system: said.SYSTEM, messages: [user(said.QUESTION)], tools, stopWhen: isStepCount(2) }),
);
await step("stream", async () => {
  const messages = [user(said.QUESTION), ...answered.responseMessages, user(said.FOLLOW_UP)];
  for await (const _ of streamText({ ...settings, system: said.SYSTEM, messages }).textStream);
});
await step("error", () => generateText({ ...settings, messages: [user(said.FAIL)] }).catch(() => {}));
await step("abandoned", async () => {
  const leaving = new AbortController();
  let read = 0;
  for await (const _ of streamText({ ...settings, messages: [user(said.COUNT)], abortSignal: leaving.signal }).textStream)
    if (++read === 6) leaving.abort();
});
await step("image", () => {
  const picture = { type: "file", data: said.PNG, mediaType: "image/png" };
  return generateText({ ...settings, messages: [user([{ type: "text", text: said.LOOK }, picture])] });
});
await step("embedding", () =>
  embed({ model: openai.embedding(said.EMBEDDING_MODEL), value: said.EMBEDDED, ...recorded }),
);
await provider.shutdown();
