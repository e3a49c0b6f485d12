// What the scripts in this folder have in common: a browser, people in front of it, and the one who started them.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Modules that were installed for these scripts, and stand elsewhere. */
export const installed = createRequire(join(process.env.NODE_PATH, "here.cjs"));

const WAIT_MS = 60_000;
const CHROMIUM = "/usr/bin/chromium";
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const shown = (...words) => console.log(...words);

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the one who started the script for something; the lines on standard input are the answers. */
export async function askFor(what) {
  console.log(`@${what}`);
  const { value, done } = await answers.next();
  assert.ok(!done && value === "done", `@${what} was answered ${value}`);
}

export async function until(what, look) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${WAIT_MS} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Someone in front of a page. */
export class Person {
  /** `options` are those of a browser's context; `before` sees the page before it is loaded. */
  static async arrive(browser, name, url, { before, ...options } = {}) {
    const person = new Person();
    person.name = name;
    person.url = url;
    person.context = await browser.newContext(options);
    person.context.setDefaultTimeout(WAIT_MS);
    person.page = await person.context.newPage();
    person.errors = [];
    person.sockets = 0;
    person.page.on("pageerror", (error) => person.errors.push(error));
    person.page.on("websocket", () => person.sockets++);
    await before?.(person.page);
    await person.page.goto(`${url}/`);
    await person.at("name-input").fill(name);
    await person.at("name-submit").click();
    await person.online();
    return person;
  }

  at(id, more = "") {
    return this.page.locator(`[data-testid="${id}"]${more}`);
  }

  online() {
    return this.page.locator('[data-testid="connection-state"][data-state="online"]').first().waitFor({ state: "attached" });
  }

  async node() {
    return (await this.at("node-id").first().textContent()).trim();
  }

  async say(text) {
    await this.at("composer").fill(text);
    await this.at("composer").press("Enter");
  }

  /** Waits until a text stands there as one that is stored. */
  sees(text) {
    const stored = this.page.locator('[data-testid="message"][data-offset]', { hasText: text });
    return stored.first().waitFor();
  }

  /** Waits until a note of what changed in the open room stands there. */
  notes(text) {
    return this.at("note").filter({ hasText: text }).first().waitFor();
  }

  /** The stored texts of the open room, as they stand there. */
  texts() {
    return this.page.locator('[data-testid="message"][data-offset] [data-testid="message-text"]').allTextContents();
  }

  rooms() {
    return this.at("room-item").evaluateAll((items) => items.map((item) => item.dataset.room));
  }

  open(room) {
    return this.at("room-item", `[data-room="${room}"]`).click();
  }

  /** The room that this page has and had not before. */
  newRoom(before) {
    return until(`a new room of ${this.name}`, async () => (await this.rooms()).find((room) => !before.includes(room)));
  }
}

/** Runs `main` with a browser. Prints `done` if it comes to its end, and otherwise what stands in the pages. */
export async function onStage(main) {
  const browser = await installed("playwright-core").chromium.launch({ executablePath: CHROMIUM, args: ARGS });
  try {
    await main(browser);
    shown("done");
  } catch (error) {
    for (const context of browser.contexts()) {
      for (const page of context.pages()) {
        const text = await page.locator("body").innerText({ timeout: 5_000 }).catch(() => "(no text)");
        console.log(`--- ${page.url()}\n${text}`);
      }
    }
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
    // What a failure left open must not hold the end.
    process.exit();
  }
}
