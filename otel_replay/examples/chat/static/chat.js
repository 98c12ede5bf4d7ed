// The page of the example: asks the application, shows the answer as it streams, and is recorded by otel-replay.
"use strict";

const receiver = document.body.dataset.receiver;
const conversationId = randomHex(16);
const messages = document.getElementById("messages");
const composer = document.getElementById("composer");
const input = document.getElementById("message");
const send = document.getElementById("send");

window.recorder = startRecording();

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (text) ask(text);
});

input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});

for (const suggestion of document.querySelectorAll("#suggestions button")) {
  suggestion.addEventListener("click", () => {
    input.value = suggestion.textContent;
    input.focus();
  });
}

async function ask(text) {
  document.getElementById("suggestions")?.remove();
  addMessage("user", text);
  input.value = "";
  send.disabled = true;
  const answer = addMessage("assistant", "");
  answer.parentElement.classList.add("waiting");
  try {
    await streamAnswer(text, answer);
  } catch (error) {
    answer.parentElement.classList.add("failed");
    appendText(answer, error.message);
  } finally {
    answer.parentElement.classList.remove("waiting");
    send.disabled = false;
    input.focus();
  }
}

async function streamAnswer(text, answer) {
  const response = await fetch("/api/chat", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message: text, conversation_id: conversationId }),
  });
  if (!response.ok) throw new Error((await response.json()).error);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) appendText(answer, part.value);
}

// One text node that grows: a recording holds one small mutation for each piece.
function appendText(paragraph, text) {
  if (!paragraph.firstChild) paragraph.append(document.createTextNode(""));
  paragraph.firstChild.data += text;
  messages.lastElementChild.scrollIntoView({ block: "end" });
}

function addMessage(role, text) {
  const item = document.createElement("li");
  const paragraph = document.createElement("p");
  item.className = role;
  item.append(paragraph);
  messages.append(item);
  if (text) appendText(paragraph, text);
  return paragraph;
}

// The chat goes on without a recorder: the receiver may be down or blocked.
function startRecording() {
  if (!window.OtelReplay) return null;
  const recorder = window.OtelReplay.record({
    endpoint: receiver,
    serviceName: "chat-example-web",
    userId: "demo-user",
    feature: "chat",
    label: "example",
  });
  const state = document.getElementById("recording");
  const link = document.createElement("a");
  link.href = `${receiver}/#/sessions/${recorder.sessionId}`;
  link.textContent = `session ${recorder.sessionId.slice(0, 8)}`;
  state.dataset.state = "on";
  state.replaceChildren("recorded as ", link);
  return recorder;
}

function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
