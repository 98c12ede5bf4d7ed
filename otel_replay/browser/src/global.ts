// Entry point of the script-tag build: `<script src=".../otel-replay.js">` gives `window.OtelReplay`.
import { isSampled, record } from "./index";

const OtelReplay = { isSampled, record };

declare global {
  interface Window {
    OtelReplay: typeof OtelReplay;
  }
}

// A page that is its own router may run its scripts again: what records it stays one.
window.OtelReplay ??= OtelReplay;
