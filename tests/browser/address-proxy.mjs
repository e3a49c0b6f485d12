// A proxy on this machine, through which people reach the chat as clients of another network. nginx gives each
// network (the first three numbers of an address) to one node, and believes X-Forwarded-For of this machine in the test.
import http from "node:http";

/** Opens a proxy to a chat; `proxy.client` is the address as which its users come. */
export async function openAddressProxy(url, client) {
  const target = new URL(url);
  const proxy = { client };
  const forwarded = (request) => ({
    host: target.hostname,
    port: target.port,
    method: request.method,
    path: request.url,
    headers: { ...request.headers, "x-forwarded-for": proxy.client },
  });
  const server = http.createServer((request, response) => {
    const onward = http.request(forwarded(request), (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  server.on("upgrade", (request, socket, head) => {
    const onward = http.request(forwarded(request));
    const end = () => socket.destroy();
    onward.on("error", end);
    onward.on("response", (answer) => {
      socket.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: close\r\n\r\n`);
      socket.end();
      answer.resume();
    });
    onward.on("upgrade", (answer, other, first) => {
      const lines = [`HTTP/1.1 101 ${answer.statusMessage}`];
      for (let n = 0; n < answer.rawHeaders.length; n += 2) lines.push(`${answer.rawHeaders[n]}: ${answer.rawHeaders[n + 1]}`);
      socket.write(`${lines.join("\r\n")}\r\n\r\n`);
      socket.write(first);
      other.write(head);
      socket.pipe(other).pipe(socket);
      other.on("error", end);
      other.on("close", end);
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    });
    onward.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return proxy;
}

/** The status with which a page of this origin is answered at the handshake, over a transport. */
export function handshake(url, client, transport, origin) {
  const headers = { "x-forwarded-for": client };
  if (origin) headers.origin = origin;
  if (transport === "websocket") {
    Object.assign(headers, {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.from("0123456789abcdef").toString("base64"),
    });
  }
  return new Promise((resolve, reject) => {
    const request = http.get(`${url}/socket.io/?EIO=4&transport=${transport}`, { headers, agent: false });
    request.on("error", reject);
    request.on("response", (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode, allowed: answer.headers["access-control-allow-origin"] });
    });
    request.on("upgrade", (answer, socket) => {
      socket.destroy();
      resolve({ status: answer.statusCode });
    });
  });
}

/** Which node an address reaches: a guest who connects over polling, asks, and goes. */
export async function nodeOf(url, client) {
  for (;;) {
    const node = await scout(`${url}/socket.io/?EIO=4&transport=polling`, { "x-forwarded-for": client });
    if (node) return node;
  }
}

/** Nothing where the address moved to another node meanwhile, which does not know the guest. */
async function scout(base, headers) {
  const { sid } = JSON.parse((await text(await fetch(base, { headers }))).slice(1));
  const own = async (options) => {
    const answer = await fetch(`${base}&sid=${sid}`, { ...options, headers });
    return answer.status === 400 ? undefined : text(answer);
  };
  let polled = await own({ method: "POST", body: '40{"name":"Scout"}' });
  while (polled !== undefined) {
    polled = await own();
    for (const packet of polled?.split("\x1e") ?? []) {
      if (packet.startsWith('42["session",')) {
        await own({ method: "POST", body: "41" });
        return JSON.parse(packet.slice(2))[1].node;
      }
    }
  }
  return undefined;
}

async function text(answer) {
  if (answer.status !== 200) throw new Error(`${answer.url} was answered ${answer.status}`);
  return answer.text();
}
