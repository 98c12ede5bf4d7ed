import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

// Styles come with the scripts: see src/lib/style.ts.
export default { preprocess: vitePreprocess(), compilerOptions: { css: "injected" } };
