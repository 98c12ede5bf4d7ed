import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const outDir = fileURLToPath(new URL("../static", import.meta.url));

/** The recorder is built into the same folder, so only this build's own files may be removed. */
const emptyAssets = {
  name: "empty-assets",
  buildStart: () => rm(`${outDir}/assets`, { recursive: true, force: true }),
};

export default defineConfig({
  // Relative addresses: the page works under any path of a reverse proxy.
  base: "./",
  plugins: [svelte(), emptyAssets],
  // Nothing inline: the content security policy allows scripts and frames from the server only.
  build: { outDir, emptyOutDir: false, assetsInlineLimit: 0, target: "es2022" },
});
