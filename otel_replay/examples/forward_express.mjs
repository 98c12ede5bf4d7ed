// A backend that takes recordings from its own pages and hands them on: Express.
//
//   npm install express
//   OTEL_REPLAY_API_KEY=orpl_... node forward_express.mjs http://127.0.0.1:4318 8606
//
// A page posts {"sessionId", "events", "metadata"?}, at most 50 MB. The body goes through a temporary file: it takes no
// memory, and can be sent again while the receiver is busy. The page gets the receiver's answer, and never its key.
import { createWriteStream, openAsBlob } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";

const MAX_BYTES = 50_000_000;
const CONCURRENT = 16; // on their way at once: 800 MB of temporary files at most
const ATTEMPTS = 5;
const LONGEST_WAIT_S = 10;
const BUSY = [429, 502, 503, 504];
const HANDED_ON = ["content-type", "content-encoding", "x-otel-replay-stream", "x-otel-replay-seq", "x-otel-replay-sent-at"];

class Refused extends Error {
  constructor(status, words, retryAfter) {
    super(words);
    Object.assign(this, { status, retryAfter });
  }
}

/** A request handler that hands recordings on to the receiver at `url`, with this server's `key`. */
export function forwarder(url, key, { origins = [] } = {}) {
  const address = `${url.replace(/\/$/, "")}/api/v1/session-record`;
  let onTheirWay = 0;

  return async (request, response) => {
    let folder;
    try {
      check(request, origins);
      if (onTheirWay >= CONCURRENT) throw new Refused(503, "too many recordings are on their way", "1");
      onTheirWay++;
      try {
        folder = await mkdtemp(join(tmpdir(), "recording-"));
        const file = join(folder, "body");
        await pipeline(request, bounded(), createWriteStream(file));
        await handBack(await send(address, key, request, file), response);
      } finally {
        onTheirWay--;
        if (folder) await rm(folder, { recursive: true, force: true });
      }
    } catch (error) {
      if (!response.headersSent && !response.destroyed) refuse(error, response);
    }
  };
}

/** Browsers say where a request comes from: pages of other sites are refused, unless they are named. */
function check(request, origins) {
  const site = request.get("sec-fetch-site") ?? "same-origin";
  if (!["same-origin", "none"].includes(site) && !origins.includes(request.get("origin"))) {
    throw new Refused(403, "pages of other sites may not send here");
  }
  if (Number(request.get("content-length") ?? 0) > MAX_BYTES) throw tooLarge();
}

function bounded() {
  let size = 0;
  return new Transform({
    transform(piece, _encoding, done) {
      size += piece.length;
      done(size > MAX_BYTES ? tooLarge() : null, piece);
    },
  });
}

const tooLarge = () => new Refused(413, `the body is over ${MAX_BYTES} bytes`);

/** Again while the receiver is busy: a recording is the same when it comes again. */
async function send(address, key, request, file) {
  const headers = Object.fromEntries(HANDED_ON.flatMap((name) => (request.get(name) ? [[name, request.get(name)]] : [])));
  if (key) headers.authorization = `Bearer ${key}`;
  for (let attempt = 1; ; attempt++) {
    const options = { method: "POST", headers, body: await openAsBlob(file), redirect: "error" };
    const answer = await fetch(address, { ...options, signal: AbortSignal.timeout(30_000) }).catch(() => null);
    if (attempt === ATTEMPTS || (answer && !BUSY.includes(answer.status))) return answer;
    await answer?.body?.cancel();
    await sleep(1000 * Math.min(Number(answer?.headers.get("retry-after")) || 0.3 * 2 ** attempt, LONGEST_WAIT_S));
  }
}

async function handBack(answer, response) {
  if (!answer) throw new Refused(503, "the receiver of recordings cannot be reached", "5");
  if (answer.status === 401 || answer.status === 403) {
    console.error(`the receiver does not take this server's key: it answered ${answer.status}`);
    throw new Refused(502, "the receiver of recordings does not take this server's key");
  }
  const retryAfter = answer.headers.get("retry-after");
  if (retryAfter) response.set("retry-after", retryAfter);
  response.status(answer.status).type(answer.headers.get("content-type") ?? "application/octet-stream");
  response.send(Buffer.from(await answer.arrayBuffer()));
}

function refuse(error, response) {
  const status = error instanceof Refused ? error.status : 503;
  const detail = error instanceof Refused ? error.message : "the recording could not be handed on";
  if (!(error instanceof Refused)) console.error(detail, error);
  if (error.retryAfter) response.set("retry-after", error.retryAfter);
  response.status(status).type("application/problem+json").send(JSON.stringify({ type: "about:blank", status, detail }));
}

const [receiver = "http://127.0.0.1:4318", port = "8606"] = process.argv.slice(2);
const app = express();
app.post("/api/session-record", forwarder(receiver, process.env.OTEL_REPLAY_API_KEY));
const server = app.listen(Number(port), "127.0.0.1", () => {
  console.log(`running on http://127.0.0.1:${server.address().port}`);
});
