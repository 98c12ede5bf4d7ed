// Bundles app.jsx into app.js. An application of your own installs otel-replay-browser and needs none of the aliases.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: [here("app.jsx")],
  outfile: process.env.OUT ?? here("app.js"),
  bundle: true,
  minify: true,
  jsx: "automatic",
  define: { "process.env.NODE_ENV": JSON.stringify(process.env.NODE_ENV ?? "production") },
  alias: { "otel-replay-browser/react": process.env.RECORDER ?? here("../../../browser/src/react.ts") },
  nodePaths: [here("node_modules")], // for the hook's own import of React
});
