// No view of the page breaks a rule of axe-core or is wider than its place, in light and in dark, on a wide screen and on
// a phone.
//
//   NODE_PATH=…/node_modules node axe.mjs URL
//
// Asks for `@kill NODE` as chat.mjs does, and ends as it does.
import assert from "node:assert/strict";

import { kept, look, PHONE, SMALL, WIDE, withAxe } from "./look.mjs";
import { askFor, onStage, Person } from "./stage.mjs";

const [url] = process.argv.slice(2);
async function main(browser) {
  const empty = await browser.newPage();
  await withAxe(empty);
  await empty.goto(url);
  await empty.getByTestId("name-input").waitFor();
  await look(empty, "the name form");
  await empty.getByTestId("name-submit").click();
  await look(empty, "the name form with a complaint");

  const bob = await Person.arrive(browser, "Bobastian Longfellow-Featherstonehaugh of Cholmondeley the Third", url, { before: withAxe });
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
  await ada.page.waitForFunction((room) => location.hash.includes(room), secret);
  await ada.say("Only for who is in here");
  await ada.sees("Only for who is in here");
  await ada.at("invite").click();
  await ada.at("invite-link-create").click();
  await ada.at("invite-link").waitFor();
  await ada.at("open-link").waitFor();
  await look(ada.page, "a private room with an invite");
  await ada.page.keyboard.press("Escape");
  await look(ada.page, "a private room");

  const sizes = [WIDE, PHONE, SMALL];
  await ada.at("room-settings").click();
  await look(ada.page, "the settings of a room", sizes);
  await ada.at("settings-name").fill(" ");
  await ada.at("settings-save").click();
  await look(ada.page, "the settings of a room with a complaint", sizes);
  await ada.at("settings-archive").click();
  await ada.at("archived-notice").waitFor();
  await look(ada.page, "the settings of an archived room", sizes);
  await ada.page.keyboard.press("Escape");
  await look(ada.page, "an archived room", sizes);
  await ada.at("notice-unarchive").click();
  await ada.at("composer").waitFor();

  await ada.at("open-settings").click();
  await look(ada.page, "one's own settings", sizes);
  await ada.page.keyboard.press("Escape");

  await ada.open(lobby);
  const person = ada.at("person").filter({ hasText: "Bob" });
  await person.hover();
  await person.getByTestId("open-dm").click();
  const dm = await ada.newRoom([...before, secret]);
  await ada.page.waitForFunction((room) => location.hash.includes(room), dm);
  await ada.say("Just you and me");
  await bob.at("message-requests").locator("summary").click();
  await bob.open(dm);
  await bob.sees("Just you and me");
  await look(bob.page, "a message request", sizes);
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

  kept();
  for (const { name, errors } of [ada, bob]) assert.deepEqual(errors, [], `errors in the page of ${name}`);
}

await onStage(main);
