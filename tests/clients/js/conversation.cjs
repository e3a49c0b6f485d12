// A conversation of an unpatched socket.io-client: connect, join, send with ack, receive, history.
//
//   NODE_PATH=…/node_modules node conversation.cjs URL websocket|polling
//
// Prints a line for each step; exits 0 if all went as the protocol says.
"use strict";

const assert = require("node:assert/strict");
const { io } = require("socket.io-client");

const [url, transport] = process.argv.slice(2);
const WAIT_MS = 30_000;

const say = (...words) => console.log(...words);

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${WAIT_MS} ms in vain for ${what}`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function connect(name) {
  const socket = io(url, { transports: [transport], auth: { name }, forceNew: true });
  const session = within(
    new Promise((resolve, reject) => {
      socket.once("session", resolve);
      socket.once("connect_error", reject);
    }),
    `the session of ${name}`,
  );
  const heard = [];
  socket.on("message:new", (message) => heard.push(message));
  const hear = (text) =>
    within(
      new Promise((resolve) => {
        const look = () => {
          const message = heard.find((message) => message.text === text);
          if (message) resolve(message);
          return Boolean(message);
        };
        if (!look()) {
          const again = () => look() && socket.off("message:new", again);
          socket.on("message:new", again);
        }
      }),
      `the text ${text}`,
    );
  const ask = async (event, payload) => {
    const ack = await socket.timeout(WAIT_MS).emitWithAck(event, payload);
    assert.equal(ack.ok, true, `${event} was answered ${JSON.stringify(ack)}`);
    return ack;
  };
  return { socket, session, heard, hear, ask };
}

async function main() {
  const ada = connect("Ada of JS");
  const bob = connect("Bob of JS");
  const [hers] = [await ada.session, await bob.session];
  assert.equal(hers.protocol, 1);
  assert.equal(ada.socket.io.engine.transport.name, transport);
  say(`connected to ${hers.node} over ${transport}`);

  const name = `Room ${process.pid} ${transport}`;
  const { room } = await ada.ask("room:create", { name, kind: "public" });
  const joined = await bob.ask("room:join", { room });
  assert.equal(joined.name, name);
  say(`joined ${joined.room}`);

  const texts = Array.from({ length: 40 }, (_, n) => `Zeile ${n} 👋`);
  const acks = await Promise.all(
    texts.map((text, n) => ada.ask("message:send", { room, nonce: `n${n}`, text })),
  );
  say(`${acks.length} sends acked`);
  await Promise.all([ada.hear(texts.at(-1)), bob.hear(texts.at(-1))]);
  for (const { heard } of [ada, bob]) {
    assert.deepEqual(heard.map((message) => message.text), texts);
    assert.deepEqual(heard.map((message) => message.id), acks.map((ack) => ack.id));
  }
  say("received by both, each once, in order");

  const history = await bob.ask("history:get", { room, limit: 100 });
  assert.deepEqual(history.messages, bob.heard);
  assert.equal(history.complete, true);
  say(`history of ${history.messages.length}`);

  const refused = await bob.socket.timeout(WAIT_MS).emitWithAck("message:send", Buffer.from("bytes"));
  assert.equal(refused.error.code, "bad_request");
  say("bytes are refused with an ack");

  ada.socket.disconnect();
  bob.socket.disconnect();
}

main().then(
  () => say("done"),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
