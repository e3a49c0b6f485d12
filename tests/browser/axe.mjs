// No view of the page breaks a rule of axe-core or is wider than its place, in light and in dark, on a wide screen and on
// a phone.
//
//   NODE_PATH=…/node_modules node axe.mjs URL
//
// Asks for `@kill NODE` as chat.mjs does, and ends as it does.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { askFor, installed, onStage, Person, shown } from "./stage.mjs";

const [url] = process.argv.slice(2);
const axe = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let views = 0;
let passes = 0;
const violations = [];

/** Looks at what a page shows. */
async function look(page, view, sizes = [WIDE, PHONE]) {
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
const withAxe = (page) => page.addInitScript(axe);

async function main(browser) {
  const empty = await browser.newPage();
  await withAxe(empty);
  await empty.goto(url);
  await empty.getByTestId("name-input").waitFor();
  await look(empty, "the name form");
  await empty.getByTestId("name-submit").click();
  await look(empty, "the name form with a complaint");

  const bob = await Person.arrive(browser, "Bobastian Longfellow-Featherstonehaugh of Cholmondeley the Third", url);
  const ada = await Person.arrive(browser, "Ada", url, { viewport: WIDE, before: withAxe });
  const lobby = (await ada.rooms())[0];
  await bob.say("Hello, have you seen https://example.org/?");
  await ada.sees("Hello, have you seen");
  await ada.say("Hello Bob");
  await ada.sees("Hello Bob");
  await look(ada.page, "the lobby");

  await ada.at("create-room").click();
  await look(ada.page, "the dialog for a room");
  await ada.at("room-name-input").fill("a-room-with-a-name-of-64-characters-that-nobody-ever-types-twice");
  await ada.at("room-kind-private").check({ force: true });
  const before = await ada.rooms();
  await ada.at("room-create-submit").click();
  const secret = await ada.newRoom(before);
  await ada.say("Only for who is in here");
  await ada.sees("Only for who is in here");
  await ada.at("invite").click();
  await ada.at("invite-link-create").click();
  await ada.at("invite-link").waitFor();
  await look(ada.page, "a private room with an invite");
  await ada.page.keyboard.press("Escape");
  await look(ada.page, "a private room");

  await ada.open(lobby);
  const person = ada.at("person").filter({ hasText: "Bob" });
  await person.hover();
  await person.getByTestId("open-dm").click();
  const dm = await ada.newRoom([...before, secret]);
  await ada.page.waitForFunction((room) => location.hash.includes(room), dm);
  await ada.say("Just you and me");
  await bob.open(dm);
  await bob.sees("Just you and me");
  await bob.say("And me and you");
  await ada.sees("And me and you");
  await look(ada.page, "a direct message");

  await bob.say("One more, while you look elsewhere");
  await ada.open(secret);
  await bob.say("And another one");
  await ada.at("room-unread").waitFor();
  await look(ada.page, "another room with something unread");
  await ada.page.setViewportSize(PHONE);
  await ada.page.getByTestId("back").click();
  await look(ada.page, "the list of rooms", [PHONE]);

  await ada.open(lobby);
  await askFor("kill node-0");
  await ada.at("banner").waitFor();
  await ada.say("Kept until the server is back");
  await look(ada.page, "the banner of a lost connection");

  shown(`axe-core looked at ${views} views: ${passes} rules kept, ${violations.length} broken`);
  assert.deepEqual(violations, []);
  for (const { name, errors } of [ada, bob]) assert.deepEqual(errors, [], `errors in the page of ${name}`);
}

await onStage(main);
