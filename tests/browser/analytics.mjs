// The page that says what goes on in the chat, as those who run it find it on a node's admin port: by sight, and by its tables.
//
//   NODE_PATH=…/node_modules node analytics.mjs URL TOKEN
//
// With PICTURES=folder it also makes pictures of it.
import assert from "node:assert/strict";

import { kept, look, PHONE, WIDE, withAxe } from "./look.mjs";
import { onStage, shown } from "./stage.mjs";

const [url, token] = process.argv.slice(2);

async function main(browser) {
  const page = await browser.newPage({ viewport: WIDE });
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  await withAxe(page);
  await page.goto(`${url}/analytics`);
  const field = page.getByLabel("The node's admin token");
  await field.waitFor();
  await look(page, "without a token");
  await field.fill("not the token");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("alert").filter({ hasText: "--admin-token-file" }).waitFor();
  await look(page, "with a wrong token");
  await field.fill(token);
  await page.keyboard.press("Enter");

  const charts = page.getByRole("img");
  await charts.nth(3).waitFor();
  const said = await charts.evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
  assert.equal(said.length, 4, said);
  assert.match(said[0], /^Active people by day\. That day: \d+ now/);
  assert.match(said[1], /^Messages by hour\. Messages: \d+ now, at most \d+/);
  await page.locator("canvas").nth(3).waitFor();
  await look(page, "the charts");
  // What is drawn follows the colours of the page.
  const drawn = () => page.locator("canvas").first().evaluate((canvas) => canvas.toDataURL());
  await page.emulateMedia({ colorScheme: "light" });
  const light = await drawn();
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction((before) => document.querySelector("canvas").toDataURL() !== before, light);

  const folder = process.env.PICTURES;
  for (const [name, size, colorScheme] of [["wide", WIDE, "light"], ["phone", PHONE, "dark"]]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    await page.waitForFunction((width) => [...document.querySelectorAll("canvas")].every((one) => one.clientWidth < width), size.width);
    if (folder) await page.screenshot({ path: `${folder}/analytics-${name}.png`, fullPage: true });
  }

  for (const summary of await page.locator("summary").all()) await summary.click();
  const table = page.getByRole("region", { name: "Messages by hour" }).getByRole("table");
  assert.equal(await table.getByRole("row").count(), 1 + 48);
  assert.deepEqual(await table.getByRole("columnheader").allTextContents(), ["Hour (UTC)", "Messages"]);
  await look(page, "the tables");
  kept();
  assert.deepEqual(errors, [], "errors in the page");
  shown("the charts say:", ...said);
}

await onStage(main);
