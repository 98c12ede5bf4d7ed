// How each kind of entry is called and coloured. Kinds of a later server fall back to their own name.

interface Look {
  readonly label: string;
  /** A CSS class of app.css that sets `--tone`. */
  readonly tone: string;
}

const LOOKS: Record<string, Look> = {
  interaction: { label: "LLM", tone: "tone-ai" },
  tool: { label: "Tool", tone: "tone-ai" },
  agent: { label: "Agent", tone: "tone-ai" },
  retrieval: { label: "Retrieval", tone: "tone-ai" },
  action: { label: "Action", tone: "tone-user" },
  navigation: { label: "Page", tone: "tone-user" },
  dom: { label: "DOM", tone: "tone-page" },
  network: { label: "Request", tone: "tone-net" },
  span: { label: "Span", tone: "tone-net" },
  log: { label: "Log", tone: "tone-net" },
  console: { label: "Console", tone: "tone-page" },
  system: { label: "System", tone: "tone-net" },
  code_context: { label: "Code", tone: "tone-net" },
  error: { label: "Error", tone: "tone-bad" },
  gap: { label: "Gap", tone: "tone-bad" },
};

export function look(kind: string): Look {
  return Object.hasOwn(LOOKS, kind) ? LOOKS[kind]! : { label: kind, tone: "tone-net" };
}

const RELATIONS: Record<string, string> = {
  caused_by: "caused by",
  rendered_by: "shown on the page by",
  child_of: "part of",
  same_call: "same call as",
};

export function relation(rel: string): string {
  return Object.hasOwn(RELATIONS, rel) ? RELATIONS[rel]! : rel;
}

const REVERSED: Record<string, string> = {
  caused_by: "caused",
  rendered_by: "shows",
  child_of: "contains",
  same_call: "same call as",
};

export function reversedRelation(rel: string): string {
  return Object.hasOwn(REVERSED, rel) ? REVERSED[rel]! : `${rel} (from)`;
}
