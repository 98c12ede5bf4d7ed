// Bundles the recorder for a script tag (window.OtelReplay) and as an ES module, into the folder the receiver serves.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const shared = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "eof",
  logLevel: "info",
};

await build({
  ...shared,
  entryPoints: [here("src/global.ts")],
  format: "iife",
  outfile: here("../web/static/otel-replay.js"),
});
await build({
  ...shared,
  entryPoints: [here("src/index.ts")],
  format: "esm",
  outfile: here("../web/static/otel-replay.esm.js"),
});
