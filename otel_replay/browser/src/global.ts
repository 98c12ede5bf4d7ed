// Entry point of the script-tag build: `<script src=".../otel-replay.js">` gives `window.OtelReplay`.
import * as OtelReplay from "./index";

declare global {
  interface Window {
    OtelReplay: typeof OtelReplay;
  }
}

window.OtelReplay = OtelReplay;
