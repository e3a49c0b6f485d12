// Many people on unpatched socket.io-clients who talk for a while, and an account of all they do and hear.
//
//   NODE_PATH=…/node_modules node crowd.cjs PLAN
//
// PLAN is JSON: {account: a file, urls, people: [{number, transport, rooms}], lobbyShare, everyMs, seed, offersAgain,
// beset}.
// Each line of stdin is a command, each line of stdout an answer; tests/history/crowd.rs has both,
// tests/history/account.rs what is written to the file. People do only what docs/protocol.md says that a client may, and
// they leave out nothing that came twice or in a wrong place: that is for the reader of the account to judge.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const { io } = require("socket.io-client");

const plan = JSON.parse(process.argv[2]);
const ACK_MS = 8_000;
const RETRY_MS = 200;
/** Sends of one person that may wait for their acks. */
const MOST_WAITING = 3;
/** How often an acked send is repeated, as by a client that never got the ack. */
const REPEATED = 0.04;
const PAGE = 100;
/** How often somebody who is beset by strangers reads instead of talking. */
const READING = 0.3;
/** How long a person may take to do what everybody can. */
const PROOF_MS = 60_000;

const LOGGED = ["message:new", "member:joined", "member:left"];

const file = fs.openSync(plan.account, "a");
let lines = [];
function write(kind, person, fields) {
  lines.push(JSON.stringify([kind, Date.now(), person, fields]));
  if (lines.length >= 500) flush();
}
function flush() {
  if (lines.length > 0) fs.writeSync(file, lines.join("\n") + "\n");
  lines = [];
}
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Small and good enough (mulberry32): what people choose need not be secret, only be told by the seed. */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Of people who are beset: how long each ack of a message took since the last look, and what was refused. */
let took = [];
let refused = {};
function refuse(event, error) {
  const what = error ? [event, error.code, error.limit].filter(Boolean).join(" ") : `${event} without an answer`;
  refused[what] = (refused[what] ?? 0) + 1;
}

/** Where a person is in a room. */
class Track {
  constructor({ epoch, offset }) {
    /** The last offset that was delivered or stood for by a gap. */
    this.last = offset;
    /** What gaps told of and was not paged yet: [from, to], rising. */
    this.missing = [];
    /** From which offset on which epoch was told. */
    this.lives = [[0, epoch]];
    this.paging = false;
  }

  get epoch() {
    return this.lives.at(-1)[1];
  }

  knows(epoch) {
    return this.lives.some(([, known]) => known === epoch);
  }

  /** Up to where nothing is missing. */
  get complete() {
    return this.missing.length > 0 ? this.missing[0][0] - 1 : this.last;
  }

  get position() {
    const offset = this.complete;
    return { epoch: this.lives.findLast(([from]) => from <= offset)[1], offset };
  }

  lives_on(offset, epoch) {
    if (epoch !== this.epoch) this.lives.push([offset, epoch]);
  }

  hear({ epoch, offset }) {
    this.last = offset;
    this.lives_on(offset, epoch);
  }

  /** What came from `from` on is another now, or was not delivered. */
  gap({ epoch, from, to }) {
    this.missing = this.missing.filter(([first]) => first < from).map(([first, last]) => [first, Math.min(last, from - 1)]);
    // What was lost may have nothing in its place yet.
    if (to >= from) this.missing.push([from, to]);
    this.lives = this.lives.filter(([first]) => first < from || first === 0);
    this.lives_on(from, epoch);
    this.last = to;
  }

  /** A new connection goes on from a position: what came after it is forgotten. */
  go_on({ offset }) {
    this.last = offset;
    this.missing = [];
    this.lives = this.lives.filter(([first]) => first <= offset);
  }
}

class Person {
  constructor({ number, transport, rooms }) {
    Object.assign(this, { number, transport, rooms });
    this.random = chance(plan.seed * 1_000_003 + number);
    this.tracks = new Map();
    this.outbox = new Map();
    this.acked = [];
    this.sent = 0;
    this.connection = 0;
    this.open = false;
    this.asleep = false;
    this.url = number % plan.urls.length;
    this.given = null;
  }

  write(kind, fields) {
    if (fields.room !== undefined && !this.minds(fields.room)) return;
    write(kind, this.number, fields);
  }

  /** Where strangers take a person is none of the account's business. */
  minds(room) {
    return !plan.beset || room === "lobby" || this.rooms.includes(room);
  }

  of_own(positions) {
    return positions && Object.fromEntries(Object.entries(positions).filter(([room]) => this.minds(room)));
  }

  begin() {
    this.socket = io(plan.urls[this.url], {
      transports: [this.transport],
      forceNew: true,
      reconnectionDelayMax: 2_000,
      // A browser keeps cookies of itself.
      withCredentials: true,
      // Without a cookie nginx tells people apart by their addresses; it is told that this one is a proxy.
      extraHeaders: { "X-Forwarded-For": `10.1.${this.number % 251}.1` },
      auth: (give) => give(this.auth()),
    });
    const { socket } = this;
    socket.on("session", (session) => this.begun(session));
    for (const event of LOGGED) socket.on(event, (entry) => this.hear(event, entry));
    socket.on("gap", (gap) => this.gap(gap));
    if (plan.beset) socket.on("room:added", ({ room, position }) => this.tracks.has(room) || this.tracks.set(room, new Track(position)));
    socket.on("server:draining", () => this.write("draining", {}));
    socket.on("disconnect", (reason) => this.ended(reason));
    socket.on("connect_error", (error) => {
      this.elsewhere();
      // A stock client does not try again by itself after a CONNECT_ERROR.
      if (socket.active) return;
      this.write("denied", { code: error.message });
      setTimeout(() => socket.connect(), 1_000);
    });
  }

  auth() {
    if (!this.resume) {
      this.given = null;
      return { name: `Person ${this.number}` };
    }
    this.given = Object.fromEntries([...this.tracks].map(([room, track]) => [room, track.position]));
    return { resume: this.resume, positions: this.given };
  }

  /** The next connection goes to another of the addresses. */
  elsewhere() {
    if (plan.urls.length === 1) return;
    this.url = (this.url + 1 + Math.floor(this.random() * (plan.urls.length - 1))) % plan.urls.length;
    this.socket.io.uri = plan.urls[this.url];
    this.write("try", { url: this.url });
  }

  begun(session) {
    this.connection += 1;
    this.open = true;
    this.resume = session.resume;
    this.user = session.user.id;
    const { node, unrecovered } = session;
    const rooms = Object.fromEntries(session.rooms.map(({ room, position }) => [room, position]));
    const lost = unrecovered.filter((room) => this.minds(room));
    const recovered = session.recovered || (unrecovered.length > 0 && lost.length === 0);
    this.write("session", {
      node, user: this.user, given: this.of_own(this.given), recovered, unrecovered: lost, rooms: this.of_own(rooms),
    });
    // A room of strangers may be gone.
    for (const room of this.tracks.keys()) if (!this.minds(room) && !rooms[room]) this.tracks.delete(room);
    for (const { room, position, forkedAt } of session.rooms) {
      if (forkedAt !== undefined) this.offer_again(room, { epoch: position.epoch, from: forkedAt + 1 });
    }
    for (const [room, position] of Object.entries(rooms)) {
      const goes_on = this.given?.[room] && !unrecovered.includes(room);
      if (goes_on && this.tracks.has(room)) this.tracks.get(room).go_on(position);
      else this.tracks.set(room, new Track(position));
    }
    for (const send of this.outbox.values()) this.issue(send);
    this.enter();
  }

  async enter() {
    const { connection } = this;
    for (const room of this.rooms) {
      while (!this.tracks.has(room)) {
        await this.join(room);
        if (this.connection !== connection || !this.open) return;
      }
    }
    this.entered = true;
  }

  async join(room) {
    const { connection } = this;
    const ack = await this.ask("room:join", { room, limit: 1 }, (ack) => {
      if (!ack?.ok || this.connection !== connection) return;
      this.tracks.set(room, new Track(ack.position));
      this.write("join", { room, position: ack.position });
    });
    if (!ack?.ok) await pause(RETRY_MS);
  }

  ended(reason) {
    this.open = false;
    this.write("close", { reason });
    if (this.asleep) this.socket.disconnect();
    if (reason === "io client disconnect") return;
    this.elsewhere();
    // So does a stock client ask for after the server's own disconnect.
    if (reason === "io server disconnect" && !this.asleep) this.socket.connect();
  }

  hear(event, entry, paged = false) {
    const { room, epoch, offset, id, at } = entry;
    const said = event === "message:new" ? { by: entry.by.id, nonce: entry.nonce } : {};
    this.write("event", { room, epoch, offset, id, at, paged, ...said });
    const track = this.tracks.get(room);
    // A new life goes on from where the old one ended: what was acked there in the old one is not in the log.
    if (track && !track.knows(epoch)) this.offer_again(room, { epoch, from: offset });
    if (!paged) track?.hear(entry);
  }

  gap(gap) {
    const { room, epoch, from, to } = gap;
    this.write("gap", { room, epoch, from, to });
    const track = this.tracks.get(room);
    if (!track || from <= track.last) this.offer_again(room, gap);
    if (!track) return;
    track.gap(gap);
    this.page(room, track);
  }

  /** The store lost what other lives of the log than this one had from an offset on: what of it is one's own is sent again. */
  offer_again(room, { epoch, from }) {
    if (!plan.offersAgain) return;
    const lost = this.acked.filter(({ room: its, position }) => its === room && position.epoch !== epoch && position.offset >= from);
    lost.sort((one, other) => one.position.offset - other.position.offset);
    for (const send of lost) if (!this.outbox.has(send.nonce)) this.put({ ...send, repeated: true });
  }

  async page(room, track) {
    if (track.paging) return;
    track.paging = true;
    const { connection } = this;
    while (track.missing.length > 0) {
      const [from] = track.missing[0];
      const { epoch } = track;
      const ack = await this.ask("log:get", { room, epoch, after: from - 1, limit: PAGE });
      // Another connection goes on from the position, and a room that was entered anew has another track.
      if (this.connection !== connection || this.tracks.get(room) !== track || !this.open) break;
      // Another gap may have come meanwhile.
      if (track.missing[0]?.[0] !== from || track.epoch !== epoch) continue;
      if (ack?.recovered === false) {
        this.write("refused", { room, epoch, after: from - 1 });
        this.tracks.delete(room);
        this.enter();
        break;
      }
      if (!ack?.ok || ack.events.length === 0) await pause(RETRY_MS);
      for (const entry of ack?.events ?? []) {
        const first = track.missing[0];
        if (!first || entry.offset > first[1]) break;
        // A page may go on past the end of a gap, over what is there already, to the next gap.
        if (entry.offset < first[0]) continue;
        this.hear(entry.event, entry, true);
        first[0] = entry.offset + 1;
        if (first[0] > first[1]) track.missing.shift();
      }
    }
    track.paging = false;
  }

  /** The ack of a request, or nothing where there was none; `first` sees it before anything that came after it. */
  ask(event, payload, first) {
    return new Promise((resolve) => {
      this.socket.timeout(ACK_MS).emit(event, payload, (error, ack) => {
        first?.(ack);
        resolve(error ? undefined : ack);
      });
    });
  }

  /** Reads a page of a room, and marks it as read. */
  read() {
    const room = this.rooms[Math.floor(this.random() * this.rooms.length)];
    const track = this.tracks.get(room);
    if (!this.open || !track) return;
    const { connection } = this;
    for (const [event, payload] of [["history:get", { room }], ["read:mark", { room, offset: track.complete }]]) {
      this.ask(event, payload).then((ack) => {
        if (!ack?.ok && this.connection === connection && this.open) refuse(event, ack?.error);
      });
    }
  }

  talk() {
    if (plan.beset && this.random() < READING) this.read();
    if (this.random() < REPEATED && this.acked.length > 0) {
      const old = this.acked[Math.floor(this.random() * this.acked.length)];
      if (!this.outbox.has(old.nonce)) this.put({ ...old, repeated: true });
      return;
    }
    if (!this.entered || this.outbox.size >= MOST_WAITING) return;
    const rooms = this.random() < plan.lobbyShare ? ["lobby"] : this.rooms;
    const room = rooms[Math.floor(this.random() * rooms.length)];
    this.sent += 1;
    const nonce = `${this.number}-${this.sent}`;
    this.put({ room, nonce, text: `${this.number} says ${this.sent}`, repeated: false });
  }

  put(send) {
    const waiting = { ...send, tries: 0, pending: false };
    this.outbox.set(send.nonce, waiting);
    if (!this.open) this.write("send", { room: send.room, nonce: send.nonce, attempt: 0, repeated: send.repeated });
    this.issue(waiting);
  }

  issue(send) {
    if (!this.open || send.pending || this.outbox.get(send.nonce) !== send) return;
    send.pending = true;
    send.tries += 1;
    const { room, nonce, text, repeated } = send;
    const { connection } = this;
    send.since ??= performance.now();
    this.write("send", { room, nonce, attempt: send.tries, repeated, connection });
    this.ask("message:send", { room, nonce, text }).then((ack) => {
      send.pending = false;
      if (ack?.ok) {
        this.write("ack", { nonce, attempt: send.tries, connection, position: ack.position, id: ack.id, at: ack.at });
        this.outbox.delete(nonce);
        if (plan.beset && !send.away) took.push(Math.round(10 * (performance.now() - send.since)) / 10);
        this.stored({ room, nonce, text, position: ack.position }, repeated);
        return;
      }
      this.write("unacked", { nonce, attempt: send.tries, code: ack?.error?.code ?? "none" });
      if (plan.beset && !send.away) refuse("message:send", ack?.error);
      if (ack && !ack.error.temporary) this.outbox.delete(nonce);
      else setTimeout(() => this.issue(send), this.connection === connection && this.open ? RETRY_MS : 0);
    });
  }

  stored(send, repeated) {
    // What was sent again because it had been lost is elsewhere now.
    if (repeated) this.acked = this.acked.filter(({ nonce }) => nonce !== send.nonce);
    this.acked.push(send);
  }

  /**
   * Reads nothing for a while, as a phone in a tunnel; answers whether there was a socket to be deaf on. What is
   * closed meanwhile stays so until the end of the sleep.
   */
  sleep(ms) {
    const ws = this.socket.io.engine?.transport?.ws;
    if (!this.open || this.asleep || !ws?.pause) return false;
    this.asleep = true;
    ws.pause();
    this.write("pause", { ms });
    setTimeout(() => {
      this.asleep = false;
      ws.resume();
      if (!this.socket.active) this.socket.connect();
    }, ms);
    return true;
  }

  /** Goes, and comes back. */
  leave(ms) {
    if (!this.open || this.asleep) return false;
    this.asleep = true;
    // That an answer comes late is the person's own doing.
    for (const send of this.outbox.values()) send.away = true;
    this.socket.disconnect();
    setTimeout(() => {
      this.asleep = false;
      this.socket.connect();
    }, ms);
    return true;
  }

  /** Asks for as long as the answer is one that says to try again. */
  async insist(event, payload, until) {
    for (;;) {
      const ack = this.open ? await this.ask(event, payload()) : undefined;
      if (ack?.ok) return ack;
      if (Date.now() > until || (ack && !ack.error.temporary)) {
        throw new Error(`person ${this.number}: ${event} ${JSON.stringify(ack?.error ?? "no answer")}`);
      }
      if (ack) refuse(event, ack.error);
      await pause(ack?.error.retryAfterMs ?? RETRY_MS);
    }
  }

  hears(room, text, until) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`person ${this.number} never hears ${text}`)), until - Date.now());
      const hear = (message) => {
        if (message.room !== room || message.text !== text) return;
        clearTimeout(timer);
        this.socket.off("message:new", hear);
        resolve();
      };
      this.socket.on("message:new", hear);
    });
  }

  /** Makes a room, enters that of a friend, writes to the friend and gets an answer. */
  async prove(friend, until) {
    // Another name each time: a room whose ack did not come may have been made.
    const name = () => `the ${this.number} of ${Math.random().toString(36).slice(2)}`;
    const { room: own } = await this.insist("room:create", () => ({ name: name(), kind: "public" }), until);
    await friend.insist("room:join", () => ({ room: own, limit: 1 }), until);
    const { room } = await this.insist("dm:open", () => ({ user: friend.user }), until);
    for (const [from, to, text] of [[this, friend, "how are you"], [friend, this, "fine"]]) {
      const heard = to.hears(room, text, until);
      await Promise.all([heard, from.insist("message:send", () => ({ room, nonce: `to ${to.number}: ${text}`, text }), until)]);
    }
  }

  behind(targets) {
    return Object.entries(targets)
      .map(([room, target]) => [room, this.tracks.get(room)?.complete, target])
      .filter(([room, at, target]) => (room === "lobby" || this.rooms.includes(room)) && !(at >= target))
      .map(([room, at, target]) => `${this.number} is at ${at} of ${target} in ${room}, ${this.open ? "connected" : "away"}`);
  }
}

const people = plan.people.map((person) => new Person(person));
const by_number = new Map(people.map((person) => [person.number, person]));
let talking = [];

const commands = {
  talk() {
    if (talking.length > 0) return {};
    talking = people.map((person) => {
      const next = () => {
        person.talk();
        // Between nothing and twice the pause, so that people don't speak in chorus.
        person.timer = setTimeout(next, person.random() * 2 * plan.everyMs);
      };
      next();
      return person;
    });
    return {};
  },
  quiet() {
    for (const person of talking) clearTimeout(person.timer);
    talking = [];
    return {};
  },
  sleep: ({ people, ms }) => ({ hit: people.filter((number) => by_number.get(number)?.sleep(ms)).length }),
  leave: ({ people, ms }) => ({ hit: people.filter((number) => by_number.get(number)?.leave(ms)).length }),
  status({ targets }) {
    const behind = people.flatMap((person) => person.behind(targets));
    return {
      open: people.filter((person) => person.open).length,
      entered: people.filter((person) => person.entered).length,
      waiting: people.reduce((sum, person) => sum + person.outbox.size, 0),
      acked: people.reduce((sum, person) => sum + person.acked.length, 0),
      behind: behind.length,
      example: behind[0] ?? "",
    };
  },
  who: () => ({ users: people.map((person) => person.user) }),
  took() {
    const since = { acks: took, refused };
    took = [];
    refused = {};
    return since;
  },
  async prove() {
    const until = Date.now() + PROOF_MS;
    const all = people.map((person, place) => person.prove(people[(place + 1) % people.length], until));
    const failed = (await Promise.allSettled(all)).filter(({ status }) => status === "rejected");
    return { failed: failed.map(({ reason }) => reason.message) };
  },
  end() {
    for (const person of people) person.write("end", {});
    flush();
    setImmediate(() => process.exit(0));
    return {};
  },
};

setInterval(flush, 200);
// At a rate that the nodes and this machine take: it is no test of speed.
people.forEach((person, place) => setTimeout(() => person.begin(), place * 15));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  Promise.resolve(commands[command.do](command)).then(say);
});
process.stdin.on("end", () => process.exit(1));
