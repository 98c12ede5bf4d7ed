// Entry point of the script-tag build: `<script src=".../otel-replay.js">` gives `window.OtelReplay`.
import { isSampled, record } from "./index";

const OtelReplay = { isSampled, record };

declare global {
  interface Window {
    OtelReplay: typeof OtelReplay;
  }
}

window.OtelReplay = OtelReplay;
