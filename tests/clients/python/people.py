"""People on unpatched python-socketio clients who talk in one room while nodes come and go.

    python people.py PLAN

Does what ../js/people.cjs does, and takes the same plan and commands.
"""

import asyncio
import json
import random
import sys
import time

import socketio

PLAN = json.loads(sys.argv[1])
ACK_S = 8
RETRY_S = 0.2
APART_S = 0.02

log = {}
acked_at = {}
violations = []


def now():
    return int(time.time() * 1000)


class Person:
    def __init__(self, number):
        self.number = number
        self.positions = {}
        # What was heard and does not follow yet: handlers are tasks, which begin in order and promise nothing more.
        self.early = {}
        self.sent = []
        self.sessions = []
        self.silence = 0
        self.entered = False
        self.resume = None
        self.node = None
        self.lost_at = None
        self.lost = asyncio.Event()
        self.talking = None
        self.client = socketio.AsyncClient()
        self.client.on("session", self.begun)
        for event in ("message:new", "member:joined", "member:left"):
            self.client.on(event, self.hear)
        self.client.on("gap", lambda gap: self.wrong("was told of a gap", gap))
        self.client.on("disconnect", self.left)

    async def begin(self):
        polls = self.number % PLAN["pollingEvery"] == PLAN["pollingEvery"] - 1
        await self.client.connect(
            PLAN["url"],
            # The polls that follow the first don't carry these, and nginx would take them for somebody else's.
            headers={} if polls else {"X-Forwarded-For": f"10.2.{self.number % 250}.1"},
            auth=self.auth,
            transports=["polling" if polls else "websocket"],
            retry=True,
        )

    def auth(self):
        if self.resume:
            return {"resume": self.resume, "positions": self.positions}
        return {"name": f"Person {self.number}"}

    def wrong(self, what, about):
        violations.append(f"{self.number} {what}: {json.dumps(about)}")

    def left(self, *_):
        self.lost_at = self.lost_at or now()
        self.lost.set()

    async def begun(self, session):
        at = now()
        again = self.resume is not None
        self.resume = session["resume"]
        self.node = session["node"]
        for place in session["rooms"]:
            room, position = place["room"], place["position"]
            had = self.positions.get(room)
            if had and had["offset"] != position["offset"]:
                self.wrong(f"was at {had['offset']} of {room} and goes on elsewhere", position)
            self.positions[room] = position
            self.settle(room)
        if again:
            said = {name: session[name] for name in ("node", "recovered", "unrecovered")}
            if not session["recovered"] or session["unrecovered"]:
                self.wrong("was not recovered", said)
            took = at - self.lost_at if self.lost_at else 0
            self.sessions.append({"at": at, "took": took, "recovered": session["recovered"], "node": session["node"]})
        self.lost_at = None
        self.lost.clear()
        asyncio.create_task(self.repeat() if again else self.enter())

    async def enter(self):
        while not self.entered:
            ack = await self.ask("room:join", {"room": PLAN["room"], "limit": 1})
            if ack and ack["ok"]:
                self.positions[PLAN["room"]] = ack["position"]
                self.entered = True
                self.settle(PLAN["room"])
            else:
                await asyncio.sleep(RETRY_S)

    async def hear(self, entry):
        early = self.early.setdefault(entry["room"], {})
        if entry["offset"] in early:
            self.wrong("heard twice", entry)
        early[entry["offset"]] = entry
        self.settle(entry["room"])

    def settle(self, room):
        """Takes what follows; what is there already came twice."""
        position, early = self.positions.get(room), self.early.get(room, {})
        if position is None:
            return
        for offset in sorted(early):
            if offset > position["offset"] + 1:
                return
            entry = early.pop(offset)
            if offset <= position["offset"]:
                self.wrong(f"heard {offset} after {position['offset']}", entry)
                continue
            position = self.positions[room] = {"epoch": entry["epoch"], "offset": offset}
            known = log.setdefault(offset, entry)
            if known["id"] != entry["id"]:
                self.wrong("heard another than somebody else", [known, entry])
            if offset in acked_at:
                self.silence = max(self.silence, now() - acked_at[offset])

    async def ask(self, event, payload):
        """The ack, or nothing where none came or the connection ended."""
        answer = asyncio.get_running_loop().create_future()
        lost = asyncio.create_task(self.lost.wait())
        try:
            await self.client.emit(event, payload, callback=lambda ack: answer.done() or answer.set_result(ack))
            await asyncio.wait([answer, lost], timeout=ACK_S, return_when=asyncio.FIRST_COMPLETED)
        except socketio.exceptions.SocketIOError:
            pass
        lost.cancel()
        return answer.result() if answer.done() else None

    async def repeat(self):
        """Says again what was acked last, as one whom the ack did not reach: the answer is the same, on whatever node."""
        acked = [send for send in self.sent if send["offset"] is not None]
        if not acked:
            return
        ack = await self.ask("message:send", self.message(acked[-1]["nonce"]))
        if ack and ack["ok"] and ack["position"]["offset"] != acked[-1]["offset"]:
            self.wrong("said something twice", [acked[-1], ack])

    def message(self, nonce):
        return {"room": PLAN["room"], "nonce": nonce, "text": f"{nonce} says hello"}

    async def say(self):
        send = {"nonce": f"py-{self.number}-{len(self.sent)}", "tries": 0, "offset": None}
        self.sent.append(send)
        while send["offset"] is None:
            if self.client.connected and self.lost_at is None:
                send["tries"] += 1
                ack = await self.ask("message:send", self.message(send["nonce"]))
                if ack and ack["ok"]:
                    send["offset"] = ack["position"]["offset"]
                    acked_at[send["offset"]] = now()
                    return
                if ack and not ack["error"]["temporary"]:
                    self.wrong("was refused for good", ack)
                    return
            await asyncio.sleep(RETRY_S)

    async def talk(self):
        while True:
            await asyncio.sleep(random.random() * 2 * PLAN["everyMs"] / 1000)
            if self.entered:
                asyncio.create_task(self.say())


PEOPLE = []


def talk(_):
    for person in PEOPLE:
        person.talking = asyncio.create_task(person.talk())
    return {}


def quiet(_):
    for person in PEOPLE:
        person.talking.cancel()
    return {}


def status(command):
    def there(person):
        return person.positions.get(PLAN["room"], {"offset": -1})["offset"] >= command["target"]

    return {
        "open": sum(person.client.connected and person.entered and person.lost_at is None for person in PEOPLE),
        "there": sum(map(there, PEOPLE)),
        "waiting": sum(send["offset"] is None for person in PEOPLE for send in person.sent),
        "at_node": sum(person.node == command["node"] for person in PEOPLE),
        "violations": len(violations),
    }


def report(_):
    for person in PEOPLE:
        for room, early in person.early.items():
            for entry in early.values():
                person.wrong(f"heard what does not follow in {room}", entry)
    people = [
        {"number": one.number, "sent": one.sent, "sessions": one.sessions, "silence": one.silence} for one in PEOPLE
    ]
    entries = [{"offset": offset, "id": one["id"], "nonce": one.get("nonce")} for offset, one in log.items()]
    return {"people": people, "log": entries, "violations": violations}


async def main():
    loop = asyncio.get_running_loop()

    async def begin():
        for number in range(PLAN["first"], PLAN["first"] + PLAN["people"]):
            person = Person(number)
            PEOPLE.append(person)
            asyncio.create_task(person.begin())
            await asyncio.sleep(APART_S)

    beginning = asyncio.create_task(begin())
    commands = {"talk": talk, "quiet": quiet, "status": status, "report": report}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        print(json.dumps(commands[command["do"]](command)), flush=True)
    beginning.cancel()


asyncio.run(main())
