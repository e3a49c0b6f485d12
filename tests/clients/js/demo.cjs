// Some people on unpatched socket.io-clients who talk in a few rooms for a while, so that dashboards have something to show.
//
//   node demo.cjs URL [SECONDS] [PEOPLE]
//
// Bounded: it ends after SECONDS (600); PEOPLE (40) say about three messages a second together. One in eight polls, and each
// loses the connection now and then and comes back to where it was.
"use strict";

const { io } = require("socket.io-client");

const [url = "http://localhost:3000", seconds = "600", people = "40"] = process.argv.slice(2);
const ROOMS = ["general", "random", "support", "releases"];
/** Between two messages of one person, on the average. */
const EVERY_MS = 13_000;
/** Between two losses of the connection. */
const STAYS_MS = 90_000;
/** Between two that connect at the start. */
const APART_MS = 50;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const about = (ms) => ms * (0.5 + Math.random());
const end = Date.now() + Number(seconds) * 1000;
const counts = { said: 0, refused: 0, heard: 0, returned: 0 };
/** The ids of the rooms, which the first person finds or makes. */
const rooms = [];

function person(number) {
  const positions = {};
  let resume;
  const socket = io(url, {
    transports: [number % 8 === 7 ? "polling" : "websocket"],
    forceNew: true,
    // nginx tells people apart by their networks, where it is told that this machine is a proxy.
    extraHeaders: { "X-Forwarded-For": `10.2.${number % 250}.1` },
    auth: (give) => give(resume ? { resume, positions } : { name: `Demo ${number + 1}` }),
  });
  const began = new Promise((resolve) => socket.once("session", resolve));
  socket.on("session", (session) => {
    if (resume) counts.returned += 1;
    resume = session.resume;
    for (const { room, position } of session.rooms) positions[room] = position;
  });
  for (const event of ["message:new", "member:joined", "member:left"]) {
    socket.on(event, ({ room, epoch, offset }) => {
      counts.heard += 1;
      positions[room] = { epoch, offset };
    });
  }
  socket.on("gap", ({ room, epoch, to }) => (positions[room] = { epoch, offset: to }));
  return { number, socket, began };
}

/** An answer, or why there is none. */
async function ask({ socket }, event, payload) {
  const answer = await socket.timeout(8000).emitWithAck(event, payload).catch(() => ({ ok: false }));
  if (!answer.ok) counts.refused += 1;
  return answer;
}

async function findRooms(first) {
  const { rooms: there = [] } = await ask(first, "room:list", {});
  for (const name of ROOMS) {
    const known = there.find((room) => room.name === name);
    const answer = known ?? (await ask(first, "room:create", { name, kind: "public" })).room;
    if (answer) rooms.push(answer.room ?? answer.id ?? answer);
  }
}

async function live(who) {
  await who.began;
  const mine = ["lobby", rooms[who.number % rooms.length], rooms[(who.number * 7 + 1) % rooms.length]].filter(Boolean);
  for (const room of new Set(mine.slice(1))) await ask(who, "room:join", { room });
  let leaves = Date.now() + about(STAYS_MS);
  for (let said = 0; Date.now() < end; said += 1) {
    await pause(Math.min(about(EVERY_MS), Math.max(end - Date.now(), 0)));
    if (Date.now() > leaves) {
      // As a network would: the client comes back by itself.
      who.socket.io.engine?.close();
      leaves = Date.now() + about(STAYS_MS);
      continue;
    }
    const room = mine[said % mine.length];
    const nonce = `${who.number}-${said}-${Date.now()}`;
    if ((await ask(who, "message:send", { room, text: `Message ${said + 1} of ${who.number + 1}`, nonce })).ok) counts.said += 1;
  }
  who.socket.disconnect();
}

async function main() {
  const first = person(0);
  await first.began;
  await findRooms(first);
  const lives = [live(first)];
  for (let number = 1; number < Number(people); number += 1) {
    lives.push(live(person(number)));
    await pause(APART_MS);
  }
  const told = setInterval(() => console.log(JSON.stringify(counts)), 10_000);
  await Promise.all(lives);
  clearInterval(told);
  console.log(JSON.stringify(counts));
}

main();
