// Recordings in numbered chunks, as the receiver keeps them: `POST /api/v1/sessions/{id}/events`.
import type { Stream } from "../stream";
import type { Parcel } from "./post";

/** `text/plain`, since for that and no other header browsers do not ask another origin before they send. */
export function chunks(stream: Stream, sessionId: () => string): (events: readonly string[]) => Parcel[] {
  return (events) => [
    {
      path: `/api/v1/sessions/${encodeURIComponent(sessionId())}/events`,
      contentType: "text/plain",
      isTimed: true,
      body: `{"stream_id":"${stream.id}","seq":${stream.number()},"events":[${events.join(",")}]}`,
    },
  ];
}
