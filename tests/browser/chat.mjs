// Show 2: people in browsers chat through nginx on several nodes.
//
//   NODE_PATH=…/node_modules node chat.mjs URL ALLOWED_ORIGIN
//
// What only the one who started the chat can do is asked for on standard output, a line each: `@kill NODE`, `@scale N`;
// its answer is a line on standard input. All other lines say what was shown. Exits 0 if all of it was.
import assert from "node:assert/strict";

import { handshake, nodeOf, openAddressProxy } from "./address-proxy.mjs";
import { askFor, onStage, Person, shown, until } from "./stage.mjs";

const [url, allowedOrigin] = process.argv.slice(2);

/** Someone who comes from this address. */
async function arrive(browser, name, client) {
  const proxy = await openAddressProxy(url, client);
  const person = await Person.arrive(browser, name, proxy.url);
  return Object.assign(person, { proxy });
}

async function main(browser) {
  const ada = await arrive(browser, "Ada", "10.1.0.1");
  const adasNode = await ada.node();
  const other = await until("an address that reaches another node", async () => {
    for (let n = 2; n < 250; n++) {
      const client = `10.${n}.0.1`;
      if ((await nodeOf(url, client)) !== adasNode) return client;
    }
    return undefined;
  });
  const bob = await arrive(browser, "Bob", other);
  const eve = await arrive(browser, "Eve", "10.251.0.1");
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
  await bob.page.goto(`${bob.url}/${link.hash}`);
  await bob.at("link-accept").waitFor();
  if (await bob.page.getByText("Only for who is in here").count()) throw new Error("a link joined without a question");
  await bob.at("link-accept").click();
  await bob.sees("Only for who is in here");
  await bob.say("I was invited");
  await ada.sees("I was invited");
  shown("they chat in a private room that one was invited to");

  await ada.at("invite").click();
  await ada.at("invite-link-create").click();
  await ada.at("open-link").filter({ hasText: "by you" }).waitFor();
  assert.equal(await ada.at("open-link").count(), 1, "the first one is spent");
  const ended = new URL(await ada.at("invite-link").inputValue());
  await ada.at("open-link-end").click();
  await ada.at("invite-link-create").waitFor();
  assert.equal(await ada.at("open-link").count(), 0);
  await ada.page.keyboard.press("Escape");
  await eve.page.goto(`${eve.url}/${ended.hash}`);
  await eve.at("link-accept").click();
  await eve.page.getByText("This invite link is used up, expired or unknown.").first().waitFor();
  shown("a link that Ada ends lets nobody in");

  await bob.at("composer").fill("Begun before");
  await ada.at("room-settings").click();
  await ada.at("settings-name").fill("Among friends");
  await ada.at("settings-topic").fill("What nobody else may know");
  await ada.at("settings-save").click();
  for (const one of [ada, bob]) {
    await one.notes("Ada renamed the room to “Among friends” and changed the topic to “What nobody else may know”");
    await one.page.getByRole("heading", { name: "Among friends" }).waitFor();
    await one.at("room-item", `[data-room="${secret}"]`).filter({ hasText: "Among friends" }).waitFor();
    await one.page.waitForFunction(() => document.title.includes("Among friends"));
    assert.ok((await one.page.locator("header", { hasText: "Among friends" }).innerText()).includes("What nobody else may know"));
  }
  shown("a room that Ada renames, and whose topic she changes, is that on Bob's page, too");

  await ada.at("room-settings").click();
  await ada.at("settings-archive").click();
  for (const one of [ada, bob]) {
    await one.notes("Ada archived the room");
    await one.at("archived-notice").waitFor();
    await one.at("room-item", `[data-room="${secret}"]`).locator('[data-testid="room-archived"]').waitFor();
    assert.equal(await one.at("composer").count(), 0);
  }
  for (const button of ["room-settings", "notice-unarchive"]) assert.equal(await bob.at(button).count(), 0, button);
  // Where he wrote stands what says why he can't.
  await bob.page.locator('[data-testid="archived-notice"]:focus').waitFor();
  await ada.page.keyboard.press("Escape");
  await ada.page.locator('[data-testid="room-settings"]:focus').waitFor();
  await ada.at("notice-unarchive").click();
  for (const one of [ada, bob]) {
    await one.notes("Ada unarchived the room");
    await one.at("composer").waitFor();
    assert.equal(await one.at("room-archived").count(), 0);
  }
  assert.equal(await bob.at("composer").inputValue(), "Begun before");
  await bob.say("Back again");
  await ada.sees("Back again");
  shown("nobody writes in a room that Ada archives until she unarchives it, and what Bob began to write is kept");

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

  const stranger = eve.at("person").filter({ hasText: "Bob" });
  await stranger.hover();
  await stranger.getByTestId("open-dm").click();
  const hers = await eve.newRoom([lobby]);
  await eve.page.waitForFunction((room) => location.hash.includes(room), hers);
  await eve.say("We have not met");
  await bob.at("message-requests").locator("summary").click();
  const asked = bob.at("message-requests").locator(`[data-room="${hers}"]`);
  await asked.getByTestId("room-unread").waitFor();
  await asked.click();
  await bob.sees("We have not met");
  await bob.at("request-accept").click();
  await bob.at("request-notice").waitFor({ state: "detached" });
  await bob.at("message-requests").waitFor({ state: "detached" });
  await bob.say("Now we have");
  await eve.sees("Now we have");
  shown("a stranger's message is folded away as a request until Bob accepts it");

  const there = bob.at("person").filter({ hasText: "Eve" });
  await there.hover();
  await there.getByTestId("block").click();
  await bob.at("blocked-notice").waitFor();
  assert.equal(await bob.at("composer").count(), 0);
  await bob.at("blocked-message").first().click();
  await bob.sees("We have not met");
  await eve.say("Are you there?");
  await eve.at("retry").waitFor();
  await bob.at("unblock").click();
  await bob.at("composer").waitFor();
  await eve.at("retry").click();
  await bob.sees("Are you there?");
  await bob.at("close-dm").click();
  await until("the closed conversation is gone from the list", async () => !(await bob.rooms()).includes(hers));
  await eve.say("One more thing");
  await bob.open(hers);
  await bob.sees("One more thing");
  shown("a blocked Eve reaches Bob no more until he unblocks her, and a closed conversation comes back with a message");

  await eve.at("open-settings").click();
  await eve.at("settings-invites").selectOption("none");
  await eve.page.keyboard.press("Escape");
  await ada.open(secret);
  await ada.at("invite").click();
  await ada.at("invite-candidate").filter({ hasText: "Eve" }).getByTestId("invite-person").click();
  await eve.at("invitation").filter({ hasText: "Ada invites you to Among friends" }).waitFor();
  await ada.page.keyboard.press("Escape");
  await eve.at("invitation-decline").click();
  await eve.at("invitation").waitFor({ state: "detached" });
  shown("Eve, who lets nobody add her, is asked, and declines");

  const eves = await eve.rooms();
  assert.deepEqual(eves.sort(), [hers, lobby].sort());
  const body = await eve.page.locator("body").innerText();
  for (const word of ["Between us", "Only for who is in here", "Just you and me"]) assert.ok(!body.includes(word), word);
  await eve.page.goto(`${eve.url}/#/room/${secret}`);
  await eve.page.reload();
  await eve.online();
  assert.deepEqual((await eve.rooms()).sort(), [hers, lobby].sort());
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
  const [adas, bobs] = [await ada.texts(), await bob.texts()].map((texts) => texts.filter((text) => said.includes(text)));
  assert.deepEqual(adas, bobs);
  assert.equal(adas.length, said.length);
  for (const who of ["Ada", "Bob"]) {
    assert.deepEqual(adas.filter((text) => text.startsWith(who)), said.filter((text) => text.startsWith(who)));
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

  const token = (page) => page.evaluate(() => localStorage.getItem("chat.resume"));
  const first = await token(eve.page);
  const tab = await eve.context.newPage();
  await tab.goto(`${eve.url}/`);
  await tab.locator('[data-testid="connection-state"][data-state="online"]').first().waitFor({ state: "attached" });
  const newest = await token(eve.page);
  assert.notEqual(newest, first, "each connect gives another token");
  await eve.at("sign-out").click();
  await eve.at("sign-out-confirm").click();
  for (const page of [eve.page, tab]) await page.locator('[data-testid="name-input"]').waitFor();
  assert.equal(await token(tab), null);
  for (const stolen of [newest, first]) {
    // The server knows of the sign-out by now or a moment later.
    await until("a token of a session that was signed out is refused", async () => {
      await tab.evaluate((resume) => localStorage.setItem("chat.resume", resume), stolen);
      await tab.reload();
      const left = tab.getByText("Your session has ended");
      await left.or(tab.locator('[data-testid="connection-state"][data-state="online"]')).first().waitFor({ state: "attached" });
      return (await left.count()) > 0;
    });
    assert.equal(await token(tab), null);
  }
  shown("who signs out is signed out in every tab, and nobody comes back by a copy of the session");

  for (const { name, errors } of [ada, bob, eve]) assert.deepEqual(errors, [], `errors in the page of ${name}`);
  for (const { proxy } of [ada, bob, eve]) proxy.close();
}

await onStage(main);
