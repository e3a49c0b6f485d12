// People on unpatched socket.io-clients who talk in one room while nodes come and go. All that they do about it is to
// send their `auth` anew, {resume, positions}, and what was not acked (or may not have been).
//
//   NODE_PATH=…/node_modules node people.cjs PLAN
//
// PLAN is JSON: {url, room, first, people, everyMs, pollingEvery}. Each line of stdin is a command, each line of stdout
// its answer; both are in tests/harness/people.rs.
"use strict";

const readline = require("node:readline");
const { io } = require("socket.io-client");

const plan = JSON.parse(process.argv[2]);
const ACK_MS = 8_000;
const RETRY_MS = 200;
/** Between two that connect at the start. */
const APART_MS = 10;
const LOGGED = ["message:new", "member:joined", "member:left"];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What anybody here was told of an offset. */
const log = new Map();
/** When the ack of an offset came to whoever had said it. */
const ackedAt = new Map();
const violations = [];

class Person {
  constructor(number) {
    this.number = number;
    this.positions = {};
    this.sent = [];
    this.sessions = [];
    this.silence = 0;
    this.entered = false;
    this.socket = io(plan.url, {
      transports: [number % plan.pollingEvery === plan.pollingEvery - 1 ? "polling" : "websocket"],
      forceNew: true,
      // nginx tells people apart by their networks, and is told that this machine is a proxy.
      extraHeaders: { "X-Forwarded-For": `10.1.${number % 250}.1` },
      auth: (give) => give(this.resume ? { resume: this.resume, positions: this.positions } : { name: `Person ${number}` }),
    });
    this.socket.on("session", (session) => this.begun(session));
    for (const event of LOGGED) this.socket.on(event, (entry) => this.hear(entry));
    this.socket.on("gap", (gap) => this.wrong("was told of a gap", gap));
    this.socket.on("disconnect", () => (this.lostAt ??= Date.now()));
    this.socket.on("connect_error", (error) => {
      // The client itself says whether it goes on trying.
      if (!this.socket.active) this.wrong("was turned away for good", error.message);
    });
  }

  wrong(what, about) {
    violations.push(`${this.number} ${what}: ${JSON.stringify(about)}`);
  }

  begun(session) {
    const now = Date.now();
    const again = Boolean(this.resume);
    this.resume = session.resume;
    this.node = session.node;
    for (const { room, position } of session.rooms) {
      const had = this.positions[room];
      if (had && had.offset !== position.offset) this.wrong(`was at ${had.offset} of ${room} and goes on elsewhere`, position);
      this.positions[room] = position;
    }
    if (again) {
      const { node, recovered, unrecovered } = session;
      if (!recovered || unrecovered.length > 0) this.wrong("was not recovered", { node, recovered, unrecovered });
      this.sessions.push({ at: now, took: now - this.lostAt, recovered, node });
      this.lostAt = undefined;
      this.repeat();
    } else {
      this.enter();
    }
  }

  async enter() {
    while (!this.entered) {
      const ack = await this.ask("room:join", { room: plan.room, limit: 1 }, (ack) => {
        if (!ack?.ok) return;
        this.positions[plan.room] = ack.position;
        this.entered = true;
      });
      if (!ack?.ok) await pause(RETRY_MS);
    }
  }

  hear(entry) {
    const { room, epoch, offset, id } = entry;
    const had = this.positions[room]?.offset;
    if (offset !== had + 1) this.wrong(`heard ${offset} where ${had + 1} follows`, entry);
    this.positions[room] = { epoch, offset };
    const known = log.get(offset);
    if (known && known.id !== id) this.wrong("heard another than somebody else", [known, entry]);
    log.set(offset, { id, nonce: entry.nonce });
    if (ackedAt.has(offset)) this.silence = Math.max(this.silence, Date.now() - ackedAt.get(offset));
  }

  /** The ack, or nothing where none came or the connection ended; `first` sees it before anything that follows it. */
  ask(event, payload, first) {
    return new Promise((resolve) => {
      this.socket.timeout(ACK_MS).emit(event, payload, (error, ack) => {
        first?.(ack);
        resolve(error ? undefined : ack);
      });
    });
  }

  /** Says again what was acked last, as one whom the ack did not reach: the answer is the same, on whatever node. */
  async repeat() {
    const send = this.sent.findLast(({ offset }) => offset !== null);
    if (!send) return;
    const ack = await this.ask("message:send", this.message(send.nonce));
    if (ack?.ok && ack.position.offset !== send.offset) this.wrong("said something twice", [send, ack]);
  }

  message(nonce) {
    return { room: plan.room, nonce, text: `${nonce} says hello` };
  }

  async say() {
    const nonce = `js-${this.number}-${this.sent.length}`;
    const send = { nonce, tries: 0, offset: null };
    this.sent.push(send);
    while (send.offset === null) {
      if (this.socket.connected && this.lostAt === undefined) {
        send.tries += 1;
        const ack = await this.ask("message:send", this.message(nonce));
        if (ack?.ok) {
          send.offset = ack.position.offset;
          ackedAt.set(send.offset, Date.now());
          continue;
        }
        if (ack && !ack.error.temporary) {
          this.wrong("was refused for good", ack);
          return;
        }
      }
      await pause(RETRY_MS);
    }
  }

  /** Now and then, so that people don't speak in chorus. */
  talk() {
    this.timer = setTimeout(() => {
      if (this.entered) this.say();
      this.talk();
    }, Math.random() * 2 * plan.everyMs);
  }
}

const people = [];
for (let number = plan.first; number < plan.first + plan.people; number += 1) {
  setTimeout(() => people.push(new Person(number)), (number - plan.first) * APART_MS);
}

const commands = {
  talk() {
    for (const person of people) person.talk();
    return {};
  },
  quiet() {
    for (const person of people) clearTimeout(person.timer);
    return {};
  },
  /** How many are connected and in the room, have their session from `node`, have heard up to `target`, wait for acks. */
  status({ node, target }) {
    const count = (is) => people.filter(is).length;
    return {
      open: count((person) => person.socket.connected && person.entered && person.lostAt === undefined),
      there: count((person) => person.positions[plan.room]?.offset >= target),
      at_node: count((person) => person.node === node),
      waiting: people.reduce((sum, { sent }) => sum + sent.filter(({ offset }) => offset === null).length, 0),
      violations: violations.length,
    };
  },
  report: () => ({
    people: people.map(({ number, sent, sessions, silence }) => ({ number, sent, sessions, silence })),
    log: [...log].map(([offset, { id, nonce }]) => ({ offset, id, nonce: nonce ?? null })),
    violations,
  }),
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(commands[command.do](command))}\n`);
});
process.stdin.on("end", () => process.exit(0));
