import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  // Every file is named relative to the page, so that a chat may be below any path.
  base: "./",
  build: {
    // The page that people chat on, and that of the admin port for those who run it.
    rolldownOptions: { input: ["index.html", "analytics.html"] },
    // Browsers that know light-dark(); older targets make the CSS minifier rewrite the theme colours.
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Each asset stays a file of its own: nothing inline that a Content-Security-Policy would have to allow.
    assetsInlineLimit: 0,
    // Only old browsers need the polyfill, and it would be the first script to run.
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/socket.io": { target: "http://localhost:3000", ws: true } },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
