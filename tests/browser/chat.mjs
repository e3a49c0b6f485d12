// Show 2: people in browsers chat through nginx on several nodes.
//
//   NODE_PATH=…/node_modules node chat.mjs URL ALLOWED_ORIGIN
//
// What only the one who started the chat can do is asked for on standard output, a line each: `@kill NODE`, `@scale N`;
// its answer is a line on standard input. All other lines say what was shown. Exits 0 if all of it was.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { handshake, nodeOf, openLane } from "./lane.mjs";

const { chromium } = createRequire(join(process.env.NODE_PATH, "here.cjs"))("playwright-core");
const [url, allowedOrigin] = process.argv.slice(2);
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

const shown = (...words) => console.log(...words);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function askFor(what) {
  console.log(`@${what}`);
  const { value, done } = await answers.next();
  assert.ok(!done && value === "done", `@${what} was answered ${value}`);
}

async function until(what, look) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${WAIT_MS} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Someone in front of a page. */
class Person {
  static async arrive(browser, name, client, hash = "") {
    const person = new Person();
    person.name = name;
    person.lane = await openLane(url, client);
    person.context = await browser.newContext();
    person.context.setDefaultTimeout(WAIT_MS);
    person.page = await person.context.newPage();
    person.errors = [];
    person.sockets = 0;
    person.page.on("pageerror", (error) => person.errors.push(error));
    person.page.on("websocket", () => person.sockets++);
    await person.page.goto(`${person.lane.url}/${hash}`);
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

async function main(browser) {
  const ada = await Person.arrive(browser, "Ada", "10.1.0.1");
  const adasNode = await ada.node();
  const other = await until("an address that reaches another node", async () => {
    for (let n = 2; n < 250; n++) {
      const client = `10.${n}.0.1`;
      if ((await nodeOf(url, client)) !== adasNode) return client;
    }
    return undefined;
  });
  const bob = await Person.arrive(browser, "Bob", other);
  const eve = await Person.arrive(browser, "Eve", "10.251.0.1");
  const bobsNode = await bob.node();
  assert.notEqual(bobsNode, adasNode);
  shown(`two pages on different nodes: Ada on ${adasNode}, Bob on ${bobsNode}`);

  for (const [speaker, text] of [[ada, "Hello from Ada 👋"], [bob, "Hello from Bob"]]) {
    await speaker.say(text);
    for (const hearer of [ada, bob, eve]) await hearer.sees(text);
  }
  shown("they chat in the lobby");

  const lobby = (await eve.rooms())[0];
  const before = await ada.rooms();
  await ada.at("create-room").click();
  await ada.at("room-name-input").fill("Between us");
  await ada.at("room-kind-private").check({ force: true });
  await ada.at("room-create-submit").click();
  const secret = await ada.newRoom(before);
  await ada.page.waitForFunction((room) => location.hash.includes(room), secret);
  await ada.say("Only for who is in here");
  await ada.at("invite").click();
  await ada.at("invite-link-create").click();
  const link = new URL(await ada.at("invite-link").inputValue());
  await ada.page.keyboard.press("Escape");
  await bob.page.goto(`${bob.lane.url}/${link.hash}`);
  await bob.sees("Only for who is in here");
  await bob.say("I was invited");
  await ada.sees("I was invited");
  shown("they chat in a private room that one was invited to");

  await bob.open(lobby);
  await ada.open(lobby);
  const person = ada.at("person").filter({ hasText: "Bob" });
  await person.hover();
  const adasRooms = await ada.rooms();
  await person.locator('[data-testid="open-dm"]').click();
  const dm = await ada.newRoom(adasRooms);
  await ada.page.waitForFunction((room) => location.hash.includes(room), dm);
  await ada.say("Just you and me");
  await bob.at("room-item", `[data-room="${dm}"]`).locator('[data-testid="room-unread"]').waitFor();
  await bob.open(dm);
  await bob.sees("Just you and me");
  await bob.say("And me and you");
  await ada.sees("And me and you");
  shown("they chat in a DM, which Bob saw as unread first");

  const eves = await eve.rooms();
  assert.deepEqual(eves, [lobby]);
  const body = await eve.page.locator("body").innerText();
  for (const word of ["Between us", "Only for who is in here", "Just you and me"]) assert.ok(!body.includes(word), word);
  await eve.page.goto(`${eve.lane.url}/#/room/${secret}`);
  await eve.page.reload();
  await eve.online();
  assert.deepEqual(await eve.rooms(), [lobby]);
  shown("a third page sees nothing of either room");

  const kept = { name: await bob.at("my-name").first().textContent(), rooms: (await bob.rooms()).sort() };
  await bob.page.reload();
  await bob.online();
  assert.equal(await bob.at("my-name").first().textContent(), kept.name);
  await until("Bob's rooms are there again", async () => (await bob.rooms()).sort().join() === kept.rooms.join());
  assert.equal(await bob.node(), bobsNode);
  shown(`a reload keeps name, rooms and DMs, and the same address reaches ${bobsNode} again`);

  await ada.open(secret);
  await bob.open(secret);
  await bob.sees("I was invited");
  const said = [];
  for (let n = 0; n < 30; n++) {
    const [speaker, text] = n % 2 ? [ada, `Ada ${n}`] : [bob, `Bob ${n}`];
    said.push(text);
    await speaker.say(text);
    if (n === 9) await askFor(`kill ${bobsNode}`);
  }
  await Promise.all([ada, bob].flatMap((hearer) => said.map((text) => hearer.sees(text))));
  const [hers, his] = [await ada.texts(), await bob.texts()].map((texts) => texts.filter((text) => said.includes(text)));
  assert.deepEqual(hers, his);
  assert.equal(hers.length, said.length);
  for (const who of ["Ada", "Bob"]) {
    assert.deepEqual(hers.filter((text) => text.startsWith(who)), said.filter((text) => text.startsWith(who)));
  }
  assert.notEqual(await bob.node(), bobsNode);
  shown(`${bobsNode} was killed while they chatted: both have all ${said.length} messages, once, in order; Bob is on ${await bob.node()}`);

  for (const transport of ["polling", "websocket"]) {
    const upgraded = transport === "polling" ? 200 : 101;
    for (const [origin, status] of [[allowedOrigin, upgraded], [url, upgraded], [undefined, upgraded], ["http://evil.example", 403]]) {
      const headers = await handshake(url, "10.1.0.1", transport, origin);
      assert.equal(headers.status, status, `${transport} from ${origin}`);
      if (transport === "polling" && origin === allowedOrigin) assert.equal(headers.allowed, origin);
    }
  }
  shown(`a page of ${allowedOrigin} connects, one of http://evil.example is refused, over polling and over WebSocket`);

  const old = new Set([adasNode, bobsNode, await bob.node(), await eve.node()]);
  for (let n = 1; n < 60; n++) old.add(await nodeOf(url, `10.${n}.1.1`));
  const sockets = [ada.sockets, bob.sockets, eve.sockets];
  await askFor("scale 5");
  const fresh = new Set();
  await until("new clients reach two new nodes", async () => {
    for (let n = 1; n < 250 && fresh.size < 2; n++) {
      const node = await nodeOf(url, `10.${n}.2.1`);
      if (!old.has(node)) fresh.add(node);
    }
    return fresh.size >= 2;
  });
  await ada.say("Still here");
  await bob.sees("Still here");
  assert.deepEqual([ada.sockets, bob.sockets, eve.sockets], sockets, "a WebSocket was cut");
  shown(`scaled to 5: new clients reach ${[...fresh].join(" and ")}, nginx was not restarted, and no WebSocket was cut`);

  for (const { name, errors } of [ada, bob, eve]) assert.deepEqual(errors, [], `errors in the page of ${name}`);
  for (const { lane } of [ada, bob, eve]) lane.close();
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
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
  process.stdin.destroy();
}
