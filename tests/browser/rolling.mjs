// Nobody who chats notices that one node after the other is restarted, or that all are replaced.
//
//   NODE_PATH=…/node_modules node rolling.mjs URL NODES [all]
//
// Asks for `@restart NODE`: SIGTERM, and a start after its end. With `all` asks for `@replace all` instead: a rolling
// update that ends with other nodes, and nobody moved more than once. Otherwise as chat.mjs.
import assert from "node:assert/strict";

import { nodeOf, openAddressProxy } from "./address-proxy.mjs";
import { askFor, onStage, Person, shown, until } from "./stage.mjs";

const [url, count, all] = process.argv.slice(2);
const PAUSE_MS = 150;
/** Far less than it takes to come back from a lost connection, far more than a busy machine takes to paint. */
const SILENCE_MS = 2_500;

/** In the page: notes each stored message as it comes, and all that someone could notice of the connection. */
function watch() {
  const noted = { arrivals: [], banners: [], states: [] };
  const known = new Set();
  globalThis.noted = noted;
  const look = () => {
    const banner = document.querySelector('[data-testid="banner"]');
    if (banner) noted.banners.push(banner.textContent.trim());
    const state = document.querySelector('[data-testid="connection-state"]')?.dataset.state;
    if (state && state !== noted.states.at(-1)) noted.states.push(state);
    for (const line of document.querySelectorAll('[data-testid="message"][data-offset]')) {
      if (known.has(line.dataset.offset)) continue;
      known.add(line.dataset.offset);
      noted.arrivals.push({ at: performance.now(), text: line.querySelector('[data-testid="message-text"]').textContent });
    }
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}

async function arrive(browser, name, client) {
  const proxy = await openAddressProxy(url, client);
  const person = await Person.arrive(browser, name, proxy.url, { before: (page) => page.addInitScript(watch) });
  return Object.assign(person, { proxy, said: [], pauses: [] });
}

/** Says one thing after the other until `over` is settled. */
async function talk(person, over) {
  let going = true;
  over.finally(() => (going = false)).catch(() => {});
  for (let before = performance.now(); going; ) {
    const text = `${person.name} ${person.said.length}`;
    await person.say(text);
    person.said.push(text);
    const now = performance.now();
    person.pauses.push(now - before);
    before = now;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** The longest time in which a page showed nothing of the other. */
async function longestSilence(hearer, speaker) {
  const { arrivals } = await hearer.page.evaluate(() => globalThis.noted);
  const times = arrivals.filter(({ text }) => text.startsWith(speaker.name)).map(({ at }) => at);
  return Math.max(...times.slice(1).map((at, n) => at - times[n]));
}

async function main(browser) {
  const clients = new Map();
  await until(`${count} nodes are reached`, async () => {
    for (let n = 1; n < 250 && clients.size < Number(count); n++) clients.set(await nodeOf(url, `10.${n}.0.1`), `10.${n}.0.1`);
    return clients.size >= Number(count);
  });
  const nodes = [...clients.keys()];
  const ada = await arrive(browser, "Ada", clients.get(nodes[0]));
  const bob = await arrive(browser, "Bob", clients.get(nodes[1]));
  const people = [ada, bob];
  assert.notEqual(await ada.node(), await bob.node());

  const restarts = (async () => {
    if (all) {
      await until("both have said more", () => people.every(({ said }) => said.length >= 10) || undefined);
      await askFor("replace all");
      for (const person of people) await until(`${person.name} is elsewhere`, async () => !nodes.includes(await person.node()));
      return;
    }
    for (const node of nodes) {
      await until("both have said more", () => {
        const enough = people.every(({ said }) => said.length >= 10 * (1 + nodes.indexOf(node)));
        return enough || undefined;
      });
      const there = [];
      for (const person of people) if ((await person.node()) === node) there.push(person);
      await askFor(`restart ${node}`);
      for (const person of there) await until(`${person.name} is elsewhere`, async () => (await person.node()) !== node);
      shown(`${node} was restarted with ${there.map(({ name }) => name).join(" and ") || "nobody"} on it`);
    }
  })();
  await Promise.all([restarts, ...people.map((person) => talk(person, restarts))]);

  const said = people.flatMap((person) => person.said);
  await Promise.all(people.flatMap((hearer) => people.map((speaker) => hearer.sees(speaker.said.at(-1)))));
  for (const hearer of people) {
    const { arrivals, banners, states } = await hearer.page.evaluate(() => globalThis.noted);
    for (const speaker of people) {
      const heard = arrivals.map(({ text }) => text).filter((text) => text.startsWith(speaker.name));
      assert.deepEqual(heard, speaker.said, `what ${hearer.name} heard of ${speaker.name}`);
    }
    assert.deepEqual(banners, [], `banners that ${hearer.name} saw`);
    assert.deepEqual(states.slice(states.indexOf("online")), ["online"], `states of ${hearer.name}'s connection`);
    assert.ok(hearer.sockets >= 2, `${hearer.name} was never handed over`);
    if (all) assert.equal(hearer.sockets, 2, `the sockets of ${hearer.name}`);
    assert.deepEqual(hearer.errors, [], `errors in the page of ${hearer.name}`);
  }
  const [hers, his] = await Promise.all(people.map((person) => person.texts()));
  assert.deepEqual(hers, his);
  for (const [hearer, speaker] of [[ada, bob], [bob, ada]]) {
    const silence = await longestSilence(hearer, speaker);
    const pause = Math.max(...speaker.pauses.slice(1));
    shown(`${hearer.name}: no banner, ${hearer.sockets} sockets one after the other, the longest silence ${Math.round(silence)} ms; ${speaker.name} never paused longer than ${Math.round(pause)} ms`);
    assert.ok(silence < pause + SILENCE_MS, "it was noticed");
  }
  shown(`all ${said.length} messages came once and in order`);
  for (const { proxy } of people) proxy.close();
}

await onStage(main);
