// Prompts and completions as a conversation. Dialects differ and content is untrusted: whatever is not understood is
// shown as JSON.

export interface Part {
  readonly kind: "text" | "tool_call" | "tool_result" | "other";
  readonly label: string;
  readonly text: string;
}

export interface Message {
  readonly role: string;
  readonly parts: readonly Part[];
}

const MAX_CHARS = 200_000;

/** JSON for reading, cut at 200,000 characters. */
export function pretty(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? String(value));
  return text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}\n… ${text.length - MAX_CHARS} characters more` : text;
}

/** Messages of an interaction's detail, in the order of the conversation. */
export function conversation(detail: Record<string, unknown>): Message[] {
  const system = detail.system_instructions;
  return [
    ...(isEmpty(system) ? [] : [{ role: "system", parts: partsOf(system) }]),
    ...messagesOf(detail.input_messages),
    ...messagesOf(detail.output_messages),
  ];
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
}

function messagesOf(value: unknown): Message[] {
  if (isEmpty(value)) return [];
  return (Array.isArray(value) ? value : [value]).map(messageOf);
}

function messageOf(value: unknown): Message {
  if (!isObject(value)) return { role: "", parts: partsOf(value) };
  const parts = partsOf(value.parts ?? value.content);
  const calls = Array.isArray(value.tool_calls) ? value.tool_calls.map(partOf) : [];
  const known = [...parts, ...calls];
  return { role: String(value.role ?? ""), parts: known.length ? known : [other(value)] };
}

function partsOf(value: unknown): Part[] {
  if (isEmpty(value)) return [];
  return (Array.isArray(value) ? value : [value]).map(partOf);
}

function partOf(value: unknown): Part {
  if (!isObject(value)) return { kind: "text", label: "", text: pretty(value) };
  const call = isObject(value.function) ? value.function : value;
  if (value.type === "tool_call_response" || value.type === "tool_result") {
    const result = value.response ?? value.result ?? value.content;
    return { kind: "tool_result", label: `result ${value.id ?? ""}`.trim(), text: pretty(result) };
  }
  if (value.type === "tool_call" || value.type === "tool_use" || isObject(value.function)) {
    return { kind: "tool_call", label: `calls ${call.name ?? "a tool"}`, text: pretty(call.arguments ?? value.input ?? "") };
  }
  const text = value.content ?? value.text;
  if (typeof text !== "string") return other(value);
  const label = value.type === "text" || value.type === undefined ? "" : String(value.type);
  return { kind: "text", label, text: pretty(text) };
}

function other(value: unknown): Part {
  return { kind: "other", label: isObject(value) ? String(value.type ?? "") : "", text: pretty(value) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
