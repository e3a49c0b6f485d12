// People chat below a path of a site, and the page asks for nothing beside it.
//
//   NODE_PATH=…/node_modules node base-path.mjs URL PATH
import assert from "node:assert/strict";

import { installed, onStage, Person, shown } from "./stage.mjs";

const [url, path] = process.argv.slice(2);

await onStage(async (browser) => {
  const asked = [];
  const before = (page) => {
    page.on("request", (request) => asked.push(request.url()));
    page.on("websocket", (socket) => asked.push(socket.url()));
  };
  const ann = await Person.arrive(browser, "Ann", `${url}${path}`, { before });
  const bob = await Person.arrive(browser, "Bob", `${url}${path}`, { before });
  await ann.say("below a path");
  await bob.sees("below a path");
  shown("two people chat");

  const rooms = await ann.rooms();
  await ann.at("create-room").click();
  await ann.at("room-name-input").fill("Between us");
  await ann.at("room-kind-private").check({ force: true });
  await ann.at("room-create-submit").click();
  const room = await ann.newRoom(rooms);
  await ann.page.waitForFunction((room) => location.hash.includes(room), room);
  await ann.at("invite").click();
  await ann.at("invite-link-create").click();
  const link = await ann.at("invite-link").inputValue();
  assert.ok(link.startsWith(`${url}${path}/#/invite/`), link);
  await bob.page.goto(link);
  await bob.at("link-accept").click();
  await bob.at("room-item", `[data-room="${room}"]`).waitFor();
  shown("an invite link leads below the path");

  await bob.page.reload();
  await bob.online();
  const keys = await bob.page.evaluate(() => Object.keys(localStorage));
  assert.ok(keys.length > 0 && keys.every((key) => key.startsWith(`${path}/`)), keys.join());
  const cookies = await bob.context.cookies();
  assert.ok(cookies.length > 0 && cookies.every((cookie) => cookie.path === `${path}/`), JSON.stringify(cookies));
  shown("what the browser keeps belongs to the path");

  const beside = asked.filter((address) => !new URL(address).pathname.startsWith(`${path}/`));
  assert.deepEqual(beside, []);
  assert.ok(asked.some((address) => address.startsWith("ws:")), "over a WebSocket");
  assert.deepEqual([...ann.errors, ...bob.errors], []);
  shown(`${asked.length} requests, all below the path`);
});
