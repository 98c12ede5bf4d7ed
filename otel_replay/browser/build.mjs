// Bundles the recorder with rrweb: an npm package in dist/ (ES modules with types; React comes from outside), and one
// file for a script tag (window.OtelReplay), there and in the folder the receiver serves.
import { build } from "esbuild";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { minify } from "terser";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What is changed in rrweb's code, and why. */
const CHANGES = [
  // To see what changed in a style, it sets the old one as an attribute, which a strict Content-Security-Policy reports
  // as a violation (https://github.com/rrweb-io/rrweb/issues/816). As a property it may be set.
  ['old.setAttribute("style", m.oldValue)', "old.style.cssText = m.oldValue"],
  // In this order the text of what is added begins with an id that stands shortly before: 6 % less in gzip of a list that
  // is sorted.
  ["parentId,\n            nextId,", "nextId, parentId,"],
  ["Object.assign(_serializedNode, { id })", "{ id, ..._serializedNode }"],
];

const changed = {
  name: "changed",
  setup(build) {
    build.onLoad({ filter: /@rrweb[\\/]record[\\/]dist[\\/]record\.js$/ }, ({ path }) => {
      let contents = readFileSync(path, "utf8");
      for (const [before, after] of CHANGES) {
        if (contents.split(before).length !== 2) throw new Error(`rrweb has changed: is "${after}" still needed?`);
        contents = contents.replace(before, after);
      }
      return { contents };
    });
  },
};

const shared = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "eof",
  plugins: [changed],
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

// What terser makes of esbuild's result is 4 % smaller in gzip than that: what the page loads, and the 15 KB of our own.
for (const name of readdirSync(here("dist")).filter((name) => name.endsWith(".js"))) {
  const file = here(`dist/${name}`);
  const compress = { passes: 3, directives: false }; // "use client" stays
  const { code } = await minify(readFileSync(file, "utf8"), { module: !name.startsWith("otel-"), ecma: 2020, compress });
  writeFileSync(file, code);
}
mkdirSync(here("../web/static"), { recursive: true });
cpSync(here("dist/otel-replay.js"), here("../web/static/otel-replay.js"));

// TypeScript writes addresses of files as they are in the sources; Node's way of finding types wants their endings.
for (const name of readdirSync(here("dist/types"), { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = here(`dist/types/${name}`);
  writeFileSync(file, readFileSync(file, "utf8").replace(/(from ")(\.[^"]+)(?=")/g, "$1$2.js"));
}
