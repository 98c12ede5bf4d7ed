// The answers of the HTTP interface, as far as the page reads them. What a server may leave out is optional.
import type { eventWithTime } from "@rrweb/types";

/** Unix nanoseconds as a decimal string. */
export type UnixNano = string;

export interface Session {
  session_id: string;
  state?: string | null;
  start_unix_nano: UnixNano;
  end_unix_nano: UnixNano;
  user?: string | null;
  feature?: string | null;
  label?: string | null;
  service?: string | null;
  interactions?: number;
  actions?: number;
  errors?: number;
  traces?: number;
  has_recording?: boolean;
  models?: string[];
  tokens?: Tokens | null;
}

export interface Tokens {
  input?: number | null;
  output?: number | null;
  cache_read?: number | null;
  cache_write?: number | null;
  reasoning?: number | null;
}

/** A receiver whose part is missing in what several receivers answer together. */
export interface Away {
  receiver: string;
  reason: string;
}

export interface SessionPage {
  sessions: Session[];
  total?: number;
  total_at_least?: boolean;
  next_cursor?: string | null;
  missing?: Away[];
}

export interface Link {
  rel: string;
  target: string;
  basis?: string;
  confidence?: number;
}

export interface Entry {
  id: string;
  kind: string;
  start_unix_nano: UnixNano;
  end_unix_nano?: UnixNano | null;
  raw_start_unix_nano?: UnixNano | null;
  trace_id?: string | null;
  span_id?: string | null;
  parent_span_id?: string | null;
  session_id?: string | null;
  stream_id?: string | null;
  title: string;
  status?: string | null;
  detail?: Record<string, unknown> | null;
  links?: Link[];
}

export interface ClockOffset {
  source: string;
  id: string;
  offset_ns: string;
  from_unix_nano?: UnixNano | null;
  to_unix_nano?: UnixNano | null;
}

export interface Visibility {
  action?: string | null;
  interaction?: string | null;
  first_visible_ns?: string | null;
  fully_visible_ns?: string | null;
}

export interface Gap {
  stream_id?: string;
  after_seq?: number;
  missing?: number;
  reason?: string;
  to_unix_nano?: UnixNano;
  resumes_at?: number | null;
}

export interface Timeline {
  trace_id?: string;
  session_id?: string;
  sessions?: (string | { session_id: string })[];
  traces?: (string | { trace_id: string })[];
  start_unix_nano: UnixNano;
  end_unix_nano: UnixNano;
  clock_reference?: string | null;
  entries: Entry[];
  interactions?: number;
  cost_usd?: string | null;
  cost_source?: string | null;
  tokens?: Tokens | null;
  time_to_visible?: Visibility[];
  clock?: ClockOffset[];
  gaps?: Gap[];
  warnings?: unknown[];
  next_cursor?: string | null;
  missing?: Away[];
}

export interface Stream {
  stream_id: string;
  from_seq?: number;
  to_seq?: number;
  gaps?: Gap[];
  events: eventWithTime[];
  /** Files of the page that the recording does not hold: how many for which reason. */
  missing?: Record<string, number>;
}

export interface RecordingPage {
  streams: Stream[];
  next_cursor?: string | null;
  missing?: Away[];
}
