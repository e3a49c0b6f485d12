// People on an unpatched socket.io-client, each behind a proxy that does one thing wrong, talk with one who is not.
//
//   NODE_PATH=…/node_modules node impaired.cjs URL MESSAGES EVERY_MS PROXY…
//
// URL is that of a node, each PROXY one before it. Everybody says MESSAGES in a room of their own, one every EVERY_MS, and
// is said as many. Prints a line of JSON for each proxy, in their order: {sessions, transport, heard: {up, down}}, where
// both are the numbers of the messages as they were heard at the other end.
"use strict";

const { io } = require("socket.io-client");

const [url, messages, everyMs, ...proxies] = process.argv.slice(2).map((word, n) => (n === 1 || n === 2 ? Number(word) : word));
const WAIT_MS = 60_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, look) {
  for (const end = Date.now() + WAIT_MS; !look(); await pause(20)) {
    if (Date.now() > end) throw new Error(`waited ${WAIT_MS} ms in vain: ${what}`);
  }
}

function connect(at, name, options) {
  const socket = io(at, { auth: { name }, forceNew: true, ...options });
  const person = { socket, sessions: 0, heard: [], ask: async (event, payload) => {
    const ack = await socket.timeout(WAIT_MS).emitWithAck(event, payload);
    if (!ack.ok) throw new Error(`${name}: ${event} was answered ${JSON.stringify(ack)}`);
    return ack;
  } };
  socket.on("session", () => person.sessions++);
  socket.on("message:new", ({ room, text }) => {
    const [from, number] = text.split(" ");
    if (room === person.room && from !== name) person.heard.push(Number(number));
  });
  return person;
}

async function talk(person, name) {
  const acks = [];
  for (let n = 0; n < messages; n++) {
    acks.push(person.ask("message:send", { room: person.room, nonce: `${name}-${n}`, text: `${name} ${n}` }));
    await pause(everyMs);
  }
  await Promise.all(acks);
}

async function converse(proxy, number) {
  const near = connect(url, "Near", { transports: ["websocket"] });
  await until(`a session at ${url}`, () => near.sessions > 0);
  const far = connect(proxy, "Far");
  await until(`a session at ${proxy}`, () => far.sessions > 0);
  const { room } = await near.ask("room:create", { name: `Room ${number}`, kind: "public" });
  near.room = far.room = room;
  await far.ask("room:join", { room });
  await Promise.all([talk(near, "Near"), talk(far, "Far")]);
  await until(`all messages through ${proxy}`, () => near.heard.length >= messages && far.heard.length >= messages);
  const transport = far.socket.io.engine.transport.name;
  const seen = { sessions: far.sessions, transport, heard: { up: near.heard, down: far.heard } };
  near.socket.disconnect();
  far.socket.disconnect();
  return seen;
}

Promise.all(proxies.map((proxy, n) => converse(proxy, n).catch((error) => ({ error: String(error) })))).then((all) => {
  for (const seen of all) console.log(JSON.stringify(seen));
  process.exit(0);
});
