// Whether a view of a page breaks a rule of axe-core or is wider than its place, in light and in dark, on a wide screen and
// on a phone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { installed, shown } from "./stage.mjs";

const axe = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");
export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
export const SMALL = { width: 320, height: 568 };

let views = 0;
let passes = 0;
const violations = [];

/** Looks at what a page shows. */
export async function look(page, view, sizes = [WIDE, PHONE]) {
  for (const size of sizes) {
    await page.setViewportSize(size);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      // Colours that are still changing are none of the page's.
      await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
      const found = await page.evaluate(async () => {
        const { violations, passes } = await globalThis.axe.run();
        // What is wider than its place is cut off, or has to be scrolled sideways.
        const wide = [...document.querySelectorAll("html, body, body *")].filter((one) => {
          const { overflowX } = getComputedStyle(one);
          const fields = one.matches("input, textarea, .hidden-text");
          const ends = overflowX === "hidden" && getComputedStyle(one).textOverflow === "ellipsis";
          return one.scrollWidth > one.clientWidth && one.clientWidth > 0 && overflowX !== "visible" && !fields && !ends;
        });
        const broken = violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`) }));
        if (wide.length) broken.push({ id: "overflow", help: "wider than its place", nodes: wide.map((one) => one.outerHTML.slice(0, 200)) });
        return { broken, passes: passes.length };
      });
      views++;
      passes += found.passes;
      for (const { id, help, nodes } of found.broken) {
        violations.push(`${view}, ${size.width} px, ${colorScheme}: ${id} (${help})\n${nodes.join("\n")}`);
      }
    }
  }
  await page.setViewportSize(WIDE);
}

/** Only the page's own scripts may run in it, so what looks at it comes by way of the browser. */
export const withAxe = (page) => page.addInitScript(axe);

/** Says how many views were looked at, and fails where a rule was broken. */
export function kept() {
  shown(`axe-core looked at ${views} views: ${passes} rules kept, ${violations.length} broken`);
  assert.deepEqual(violations, []);
}
