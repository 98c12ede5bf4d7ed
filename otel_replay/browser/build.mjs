// Bundles the recorder with rrweb: an npm package in dist/ (ES modules with types; React comes from outside), and one
// file for a script tag (window.OtelReplay), there and in the folder the receiver serves.
import { build } from "esbuild";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * To see what changed in a style, rrweb sets the old one as an attribute, which a strict Content-Security-Policy
 * reports as a violation (https://github.com/rrweb-io/rrweb/issues/816). As a property it may be set.
 */
const styles = {
  name: "styles",
  setup(build) {
    build.onLoad({ filter: /@rrweb[\\/]record[\\/]dist[\\/]record\.js$/ }, ({ path }) => {
      const code = readFileSync(path, "utf8");
      const contents = code.replace('old.setAttribute("style", m.oldValue)', "old.style.cssText = m.oldValue");
      if (contents === code) throw new Error("rrweb reads old styles in another way: see whether this is still needed");
      return { contents };
    });
  },
};

const shared = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "eof",
  plugins: [styles],
  logLevel: "info",
};

for (const name of readdirSync(here("dist"))) if (name.endsWith(".js")) rmSync(here(`dist/${name}`));
await build({
  ...shared,
  entryPoints: ["index", "react", "panel"].map((name) => here(`src/${name}.ts`)),
  external: ["react"],
  format: "esm",
  splitting: true, // all entry points know the same running recorder
  outdir: here("dist"),
});
await build({
  ...shared,
  entryPoints: [here("src/global.ts")],
  format: "iife",
  outfile: here("dist/otel-replay.js"),
});
mkdirSync(here("../web/static"), { recursive: true });
cpSync(here("dist/otel-replay.js"), here("../web/static/otel-replay.js"));

// TypeScript writes addresses of files as they are in the sources; Node's way of finding types wants their endings.
for (const name of readdirSync(here("dist/types"), { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = here(`dist/types/${name}`);
  writeFileSync(file, readFileSync(file, "utf8").replace(/(from ")(\.[^"]+)(?=")/g, "$1$2.js"));
}
