"""A conversation of an unpatched python-socketio: connect, join, send with ack, receive, history.

    python conversation.py URL websocket|polling sync|async

Prints a line for each step; exits 0 if all went as the protocol says.
"""

import asyncio
import os
import sys
import threading

import socketio

URL, TRANSPORT, KIND = sys.argv[1:4]
WAIT = 30
TEXTS = [f"Zeile {n} 👋" for n in range(40)]


def granted(event, ack):
    assert ack["ok"] is True, f"{event} was answered {ack}"
    return ack


def by_offset(heard):
    """python-engineio starts a thread or task for each message, so that their order at the handler is chance."""
    return sorted(heard, key=lambda message: message["offset"])


def check_heard(heard, acks):
    heard = by_offset(heard)
    assert [message["text"] for message in heard] == TEXTS, heard
    assert [message["id"] for message in heard] == [ack["id"] for ack in acks], heard


def name_of_room():
    return f"Room {os.getpid()} {KIND} {TRANSPORT}"


class Person:
    """The client with threads, over requests and websocket-client."""

    def __init__(self, name):
        self.heard = []
        self.session = None
        self.change = threading.Condition()
        self.client = socketio.Client(reconnection=False)
        self.client.on("session", self.on_session)
        self.client.on("message:new", self.on_message)
        self.client.connect(URL, auth={"name": name}, transports=[TRANSPORT], wait_timeout=WAIT)
        self.wait(lambda: self.session, "the session")
        assert self.client.transport() == TRANSPORT

    def on_session(self, session):
        with self.change:
            self.session = session
            self.change.notify_all()

    def on_message(self, message):
        with self.change:
            self.heard.append(message)
            self.change.notify_all()

    def wait(self, condition, what):
        with self.change:
            assert self.change.wait_for(condition, WAIT), f"waited in vain for {what}; heard {self.heard}"

    def ask(self, event, payload):
        return granted(event, self.client.call(event, payload, timeout=WAIT))


def converse():
    ada, bob = Person("Ada of Python"), Person("Bob of Python")
    print(f"connected to {ada.session['node']} over {TRANSPORT}")
    room = ada.ask("room:create", {"name": name_of_room(), "kind": "public"})["room"]
    assert bob.ask("room:join", {"room": room})["name"] == name_of_room()
    print(f"joined {room}")
    acks = [ada.ask("message:send", {"room": room, "nonce": f"n{n}", "text": text}) for n, text in enumerate(TEXTS)]
    print(f"{len(acks)} sends acked")
    for person in (ada, bob):
        person.wait(lambda: len(person.heard) >= len(TEXTS), "all texts")
        check_heard(person.heard, acks)
    print("received by both, each once")
    history = bob.ask("history:get", {"room": room, "limit": 100})
    assert history["messages"] == by_offset(bob.heard) and history["complete"] is True, history
    print(f"history of {len(history['messages'])}")
    refused = bob.client.call("message:send", b"bytes", timeout=WAIT)
    assert refused["error"]["code"] == "bad_request", refused
    print("bytes are refused with an ack")
    ada.client.disconnect()
    bob.client.disconnect()


class AsyncPerson:
    """The client of asyncio, over aiohttp."""

    async def begin(self, name):
        self.heard = []
        self.session = asyncio.get_running_loop().create_future()
        self.change = asyncio.Condition()
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("session", self.on_session)
        self.client.on("message:new", self.on_message)
        await self.client.connect(URL, auth={"name": name}, transports=[TRANSPORT], wait_timeout=WAIT)
        await asyncio.wait_for(asyncio.shield(self.session), WAIT)
        assert self.client.transport() == TRANSPORT
        return self

    async def on_session(self, session):
        self.session.set_result(session)

    async def on_message(self, message):
        async with self.change:
            self.heard.append(message)
            self.change.notify_all()

    async def wait(self, condition):
        async with self.change:
            await asyncio.wait_for(self.change.wait_for(condition), WAIT)

    async def ask(self, event, payload):
        return granted(event, await self.client.call(event, payload, timeout=WAIT))


async def converse_async():
    ada, bob = await AsyncPerson().begin("Ada of asyncio"), await AsyncPerson().begin("Bob of asyncio")
    print(f"connected to {ada.session.result()['node']} over {TRANSPORT}")
    room = (await ada.ask("room:create", {"name": name_of_room(), "kind": "public"}))["room"]
    assert (await bob.ask("room:join", {"room": room}))["name"] == name_of_room()
    print(f"joined {room}")
    sends = (
        ada.ask("message:send", {"room": room, "nonce": f"n{n}", "text": text}) for n, text in enumerate(TEXTS)
    )
    acks = await asyncio.gather(*sends)
    print(f"{len(acks)} sends acked")
    for person in (ada, bob):
        await person.wait(lambda: len(person.heard) >= len(TEXTS))
        check_heard(person.heard, acks)
    print("received by both, each once")
    history = await bob.ask("history:get", {"room": room, "limit": 100})
    assert history["messages"] == by_offset(bob.heard), history
    print(f"history of {len(history['messages'])}")
    await ada.client.disconnect()
    await bob.client.disconnect()


if KIND == "async":
    asyncio.run(converse_async())
else:
    converse()
print("done")
