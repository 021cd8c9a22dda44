"""The client sees what a stalled service does to those who come, and passes on what was answered, byte for byte."""

from __future__ import annotations

import asyncio
import json

import pytest

from benchmarks import load
from benchmarks.load import Answer, Client, request

STALL = .25


class Server(asyncio.Protocol):
    """Answers what it was sent, in pieces; once, it stalls all that come."""

    stall_at = None
    asked = 0

    def connection_made(self, transport):
        self.transport, self.read = transport, b""

    def data_received(self, data):
        self.read += data
        head, end, body = self.read.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.rpartition(b"Content-Length: ")[2]):
            return
        self.read = b""
        Server.asked += 1
        loop = asyncio.get_running_loop()
        if Server.asked == Server.stall_at:
            Server.until = loop.time() + STALL
        loop.call_later(max(0, Server.until - loop.time()), self.answer, body)

    def answer(self, body):
        if body == b'"break"':
            self.transport.abort()
            return
        raw = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        self.transport.write(raw[:30])
        asyncio.get_running_loop().call_soon(self.transport.write, raw[30:])


def talk(act, stall_at=None):
    """What `act(client)` gives beside such a server."""
    Server.stall_at, Server.asked, Server.until = stall_at, 0, 0.0

    async def both():
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        client = Client(server.sockets[0].getsockname()[1])
        try:
            return await act(client)
        finally:
            client.close()
            server.close()
            await asyncio.sleep(.01)

    return load.run(both())


def test_answers_come_back_whole_and_to_whom_they_belong():
    asked = [request("POST", "/", {"number": number, "long": "x" * (97 * number)}) for number in range(60)]
    found = talk(lambda client: load.at_once(8, len(asked), lambda number: client.ask(asked[number])))
    assert [json.loads(each.body)["number"] for each in found] == list(range(60))
    assert {each.status for each in found} == {200}


def test_who_is_due_while_the_service_stalls_waits_from_then_on():
    """A client that waits for each answer would see one slow request; here all that were due in that time are slow."""
    raw, rate = request("POST", "/", {}), 200
    outcomes = talk(lambda client: load.at_rate(rate, 200, lambda number: client.ask(raw)), stall_at=50)
    slow = [each for each in outcomes if each.latency > STALL / 5]
    assert len(slow) >= .7 * STALL * rate
    assert max(each.latency for each in outcomes) >= .9 * STALL
    assert [each.due for each in outcomes] == pytest.approx([outcomes[0].due + n / rate for n in range(200)])


def test_a_broken_connection_is_an_error_and_the_next_one_is_new():
    async def act(client):
        with pytest.raises(ConnectionResetError):
            await client.ask(request("POST", "/", "break"))
        return await client.ask(request("POST", "/", "after"))

    assert talk(act) == Answer(200, b'"after"')


def test_percentiles_are_of_milliseconds():
    found = load.percentiles([.001] * 99 + [.1])
    assert found["p50_ms"] == pytest.approx(1)
    assert found["max_ms"] == pytest.approx(100)
