// The buttons of the example: the visitor decides when the recording starts, pauses and ends.
"use strict";

const { receiver } = document.body.dataset;
const [state, start, pause, stop, watch] = ["state", "start", "pause", "stop", "watch"].map((id) => document.getElementById(id));
const words = { recording: "Recording", paused: "Paused", stopped: "Not recorded" };
let recorder;

start.addEventListener("click", () => {
  recorder = window.OtelReplay.record({ endpoint: receiver, serviceName: "recorded-page", feature: "order" });
  recorder.resume();
  watch.hidden = true;
  show();
});

pause.addEventListener("click", () => {
  if (recorder.state === "paused") recorder.resume();
  else recorder.pause();
  show();
});

stop.addEventListener("click", async () => {
  const { sessionId } = recorder;
  const sent = recorder.stop();
  show();
  await sent;
  watch.href = `${receiver}/#/sessions/${sessionId}`;
  watch.hidden = false;
});

document.getElementById("order").addEventListener("submit", (event) => {
  event.preventDefault();
  const { book, copies } = Object.fromEntries(new FormData(event.target));
  const line = document.createElement("li");
  line.textContent = `${copies} × ${book}`;
  document.getElementById("lines").append(line);
});

function show() {
  const now = recorder?.state ?? "stopped";
  state.textContent = words[now];
  start.hidden = now !== "stopped";
  pause.hidden = stop.hidden = now === "stopped";
  pause.textContent = now === "paused" ? "Go on" : "Pause";
}
