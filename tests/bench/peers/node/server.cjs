// Socket.IO on Node.js as people run it where speed matters: the least that is a chat, and what its documentation
// says of performance. Stores nothing, knows nobody.
//
//   node server.cjs --port P [--engine ws|uws] [--adapter none|redis|redis-sharded|redis-streams] [--redis URL]
//
// Says `ready` when it listens.
process.env.NODE_ENV = "production";

const { createServer } = require("node:http");
const { parseArgs } = require("node:util");
const { Server } = require("socket.io");

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    engine: { type: "string", default: "ws" },
    adapter: { type: "string", default: "none" },
    redis: { type: "string" },
  },
});

/** Connects. An error that nobody listens to would end the process; so it reconnects by itself. */
function connected(client) {
  client.on("error", (error) => console.error(`redis: ${error.message}`));
  return client.connect().then(() => client);
}

/** What is between several processes, by the example of its README. */
async function adapter() {
  if (options.adapter === "none") return undefined;
  const { createClient } = require("redis");
  const client = createClient({ url: options.redis });
  if (options.adapter === "redis-streams") {
    const { createAdapter } = require("@socket.io/redis-streams-adapter");
    // All is text here: it need not look for binary values.
    return createAdapter(await connected(client), { onlyPlaintext: true });
  }
  const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
  const create = { redis: createAdapter, "redis-sharded": createShardedAdapter }[options.adapter];
  if (!create) throw new Error(`no adapter ${options.adapter}`);
  return create(...(await Promise.all([connected(client), connected(client.duplicate())])));
}

function serve(io) {
  // As its documentation advises for memory: nobody looks at the first request again.
  io.engine.on("connection", (socket) => {
    socket.request = null;
  });
  io.on("connection", (socket) => {
    socket.on("join", async (room, ack) => {
      await socket.join(room);
      ack();
    });
    socket.on("message", ({ room, text }) => io.to(room).emit("message", text));
  });
}

async function main() {
  const io = new Server({ adapter: await adapter(), serveClient: false, transports: ["websocket"] });
  const [host, port] = ["127.0.0.1", Number(options.port)];
  const ready = () => console.log("ready");
  if (options.engine === "uws") {
    const app = require("@trufflesuite/uws-js-unofficial").App();
    // By default it drops, and tells nobody, what a client has not taken of more than 64 KiB; ws drops nothing.
    io.attachApp(app, { maxBackpressure: 0 });
    serve(io);
    app.listen(host, port, (socket) => {
      if (!socket) throw new Error(`cannot listen on port ${port}`);
      ready();
    });
    return;
  }
  if (options.engine !== "ws") throw new Error(`no engine ${options.engine}`);
  const http = createServer();
  io.attach(http);
  serve(io);
  // Room for everyone who comes at once.
  http.listen({ host, port, backlog: 4096 }, ready);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
