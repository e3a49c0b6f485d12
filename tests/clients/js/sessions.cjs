// An unpatched socket.io-client whose auth is fixed at the start: it comes back with its first token again and again, and
// stays away once its session was revoked.
//
//   NODE_PATH=…/node_modules node sessions.cjs URL OTHER_URL websocket|polling
//
// Prints a line for each step; exits 0 if all went as the protocol says.
"use strict";

const assert = require("node:assert/strict");
const { io } = require("socket.io-client");

const [url, otherUrl, transport] = process.argv.slice(2);
const WAIT_MS = 30_000;

const say = (...words) => console.log(...words);

function once(socket, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${WAIT_MS} ms in vain for ${event}`)), WAIT_MS);
    socket.once(event, (...all) => {
      clearTimeout(timer);
      resolve(all);
    });
  });
}

function open(to, auth) {
  return io(to, { transports: [transport], auth, forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200 });
}

async function main() {
  const first = open(url, { name: "Ada of JS" });
  const [session] = await once(first, "session");
  first.disconnect();

  const socket = open(url, { resume: session.resume });
  for (let n = 0; n < 5; n++) {
    const [again] = await once(socket, "session");
    assert.equal(again.user.id, session.user.id);
    assert.equal(again.recovered, true);
    // The connection breaks; the client comes back by itself.
    if (n < 4) socket.io.engine.close();
  }
  say("came back five times with the first token");

  const elsewhere = open(otherUrl, { resume: session.resume });
  await once(elsewhere, "session");
  const ends = [socket, elsewhere].map((one) => Promise.all([once(one, "session:revoked"), once(one, "disconnect")]));
  const ack = await socket.timeout(WAIT_MS).emitWithAck("session:revoke", { session: session.session });
  assert.equal(ack.ok, true);
  for (const [[told], [reason]] of await Promise.all(ends)) {
    assert.deepEqual(told, { session: session.session, reason: "requested" });
    assert.equal(reason, "io server disconnect");
  }
  let tries = 0;
  for (const one of [socket, elsewhere]) {
    one.io.on("reconnect_attempt", () => tries++);
    one.on("connect", () => tries++);
  }
  // Ten times as long as it waits before it tries again, and longer than until the node ends the transport.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  assert.equal(tries, 0);
  say("was told, and stays away");

  for (const one of [socket, elsewhere]) {
    const refused = once(one, "connect_error");
    one.connect();
    assert.equal((await refused)[0].message, "unauthenticated");
    assert.equal(one.active, false);
  }
  say("is refused");
}

main().then(
  () => {
    say("done");
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
