// The screenshot of the README: a team in a few rooms.
//
//   NODE_PATH=…/node_modules node screenshot.mjs URL FILE
//
// Writes FILE, a PNG, and ends as chat.mjs does. URL is that of a chat that nobody else uses. To take it anew:
//
//   UPDATE=1 cargo test -p tests --test suite -- deploy_browser::the_screenshot_of_the_readme_can_be_taken
import assert from "node:assert/strict";

import { onStage, Person, shown } from "./stage.mjs";

const [url, file] = process.argv.slice(2);
// In a time zone in which it is eleven o'clock, whenever this runs. `Etc/GMT+3` is three hours behind UTC.
const behind = new Date().getUTCHours() - 11;
const VIEW = {
  viewport: { width: 1160, height: 640 },
  deviceScaleFactor: 1.25,
  colorScheme: "light",
  locale: "en-GB",
  reducedMotion: "reduce",
  timezoneId: `Etc/GMT${behind < 0 ? "" : "+"}${behind}`,
};

/** Makes a room and opens it. */
async function create(person, name, kind, topic) {
  const before = await person.rooms();
  await person.at("create-room").click();
  await person.at("room-name-input").fill(name);
  await person.at(`room-kind-${kind}`).check({ force: true });
  await person.at("room-topic-input").fill(topic);
  await person.at("room-create-submit").click();
  const room = await person.newRoom(before);
  await person.page.waitForFunction((id) => location.hash.includes(id), room);
  return room;
}

/** Finds a public room and joins it. */
async function join(person, name) {
  const before = await person.rooms();
  await person.at("browse-rooms").click();
  await person.at("browse-item").filter({ hasText: name }).getByTestId("browse-join").click();
  const room = await person.newRoom(before);
  await person.page.waitForFunction((id) => location.hash.includes(id), room);
}

/** Opens a conversation with somebody who is in the open room. */
async function message(person, name) {
  const before = await person.rooms();
  const other = person.at("person").filter({ hasText: name });
  await other.hover();
  await other.getByTestId("open-dm").click();
  const room = await person.newRoom(before);
  await person.page.waitForFunction((id) => location.hash.includes(id), room);
  return room;
}

/** Says something, and waits until somebody else has it: what is said next comes after it. */
async function say(speaker, text, hearer) {
  await speaker.say(text);
  await hearer.sees(text);
}

async function main(browser) {
  const ada = await Person.arrive(browser, "Ada Park", url, VIEW);
  const ben = await Person.arrive(browser, "Ben Ortiz", url);
  const chidi = await Person.arrive(browser, "Chidi Obi", url);
  const dana = await Person.arrive(browser, "Dana Roth", url);

  const release = await create(ada, "Release 2.4", "public", "Ships on Thursday");
  const support = await create(ben, "Support", "public", "Questions from everyone");
  await create(ada, "On call", "private", "");
  for (const person of [ben, chidi, dana]) await join(person, "Release 2.4");
  await join(ada, "Support");

  await ada.open(release);
  const withDana = await message(ada, "Dana Roth");
  await ada.say("Can I send you the draft of the announcement?");
  await ada.open(release);

  await say(ben, "The release candidate is on staging, on three nodes.", ada);
  await say(chidi, "I kill a node every minute while the load test runs. Not one message is lost so far.", ada);
  await say(ada, "Do the clients notice?", chidi);
  await say(chidi, "They reconnect to another node and get what they missed.", ada);
  await say(ben, "The plan for the rollout: https://wiki.example.com/2.4", ada);
  await say(ben, "One node at a time, at most 100 reconnects a second.", ada);
  await say(ada, "Looks good. Thursday at ten it is!", ben);

  // What waits in other rooms.
  await ben.open(support);
  await ben.say("Somebody asks whether guests can open direct messages. They can.");
  await dana.open(withDana);
  await dana.say("Please do!");
  await dana.say("I have time until noon.");
  await ada.at("room-unread").nth(1).waitFor();
  await ben.open(release);
  await ben.at("composer").pressSequentially("I will", { delay: 20 });
  await ada.at("typing").filter({ hasText: "Ben" }).waitFor();

  await ada.page.screenshot({ path: file, animations: "disabled" });
  assert.deepEqual(ada.errors, []);
  shown(`the screenshot is ${file}`);
}

await onStage(main);
