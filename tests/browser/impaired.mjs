// People in Chromium, each behind a proxy that does one thing wrong, get in and talk with one who is not.
//
//   NODE_PATH=…/node_modules node impaired.mjs URL WHAT=PROXY…
//
// URL is that of a node, each PROXY one before it, WHAT says what it does.
import assert from "node:assert/strict";

import { onStage, Person, shown } from "./stage.mjs";

const [url, ...proxies] = process.argv.slice(2);
/** How many get in at a time: pages are slow to load where many do. */
const AT_ONCE = 4;
/** Whatever is wrong, a page is in within 15 s; twice that on a machine that is busy with other tests. */
const MOST_MS = 30_000;

/** Lets one after the other use the page of somebody. */
function oneAtATime() {
  let last = Promise.resolve();
  return (act) => (last = last.then(act));
}

async function getIn(browser, near, nearsTurn, word) {
  const [what, proxy] = word.split("=");
  const begun = performance.now();
  const far = await Person.arrive(browser, what, proxy);
  const took = Math.round(performance.now() - begun);
  shown(`${what}: in after ${took} ms`);
  assert.ok(took < MOST_MS, `${what}: ${took} ms`);
  await far.say(`from ${what}.`);
  await Promise.all([near.sees(`from ${what}.`), far.sees(`from ${what}.`)]);
  await nearsTurn(() => near.say(`to ${what}.`));
  await far.sees(`to ${what}.`);
  assert.deepEqual(far.errors, [], `${what}: errors in the page`);
  await far.context.close();
}

async function main(browser) {
  const near = await Person.arrive(browser, "Near", url);
  const nearsTurn = oneAtATime();
  const left = [...proxies];
  const some = async () => {
    for (let word = left.shift(); word; word = left.shift()) await getIn(browser, near, nearsTurn, word);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
  shown(`${proxies.length} pages got in, and were heard`);
}

await onStage(main);
