"""How much of a model server's throughput the client leaves unused, beside what a user would write instead.

    python benchmarks/vlm_client.py [--quick]

The server is a stub in a process of its own that answers every request after 200 ms, however many there are, so that
32 requests under way are 160 a second at most. `server` is what 32 bare connections reach that send ready-made bytes
and look at nothing; `ours` holds whole conversations, with pictures, prompts, schemas, checks, calibration and the
cache on disk; `threads` and `loop` call the `openai` package 32 at a time and one by one, with the same messages, and
keep nothing. In turns, best of several rounds; each begins with a server that has been warmed up. The last line is a
JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
from openai import OpenAI
from pydantic import BaseModel

from knowlip.core.folder import Folder
from knowlip.core.statements import Fact
from knowlip.corpus.store import TilePixels
from knowlip.hcot.engines.cache import AnswerCache
from knowlip.hcot.engines.client import ChatClient
from knowlip.hcot.engines.config import VlmConfig
from knowlip.hcot.engines.dialogue import converse
from knowlip.hcot.engines.picture import picture
from knowlip.hcot.engines.questions import LAST_STEP, QUESTIONS, answer_model
from knowlip.hcot.view import Facts

LATENCY_S = 0.2
CONCURRENCY = 32
TURNS = LAST_STEP + 1
SIZE = 256

MEASURED = Facts(
    [
        Fact("place.country", "Norway", 1, "gazetteer", 0.99),
        Fact("cover.order", ["water", "building"], 3, "backscatter", 0.8),
        Fact("cover.water.share", 0.7, 3, "backscatter", 0.8),
        Fact("cover.building.share", 0.3, 3, "backscatter", 0.8),
    ]
)


IMAGE = {"frequency_band": "C", "polarisations": ("VV",), "incidence_deg": 35.0, "look_azimuth_deg": 90.0}
VIEW: Any = SimpleNamespace(properties=SimpleNamespace(**IMAGE), gsd_m=10.0)
"""As much of a tile as a conversation looks at."""


def answers() -> list[bytes]:
    """A usable answer to each step, as a whole HTTP response."""

    def value(spec: dict[str, Any]) -> Any:
        kinds = {"string": "There is water to the left of the land.", "boolean": False, "integer": 0, "number": 1.0}
        return None if "anyOf" in spec else spec["enum"][0] if "enum" in spec else kinds[spec["type"]]

    found = []
    for model in models():
        content = {k: value(spec) for k, spec in model.model_json_schema()["properties"].items()}
        message = {"role": "assistant", "content": json.dumps(content)}
        usage = {"prompt_tokens": 1000, "completion_tokens": 60, "total_tokens": 1060}
        body = {"id": "x", "object": "chat.completion", "created": 0, "model": "stub", "usage": usage}
        body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        found.append(head.encode() + text)
    return found


def models() -> list[type[BaseModel]]:
    return [answer_model(k, tuple(q for q in QUESTIONS if q.step == k)) for k in range(TURNS)]


def serve(port: Any) -> None:
    """The stub: any number of connections, each answered after the latency."""
    ready = answers()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                step = int(body[body.index(b"step_") + 5 :][:1])
                await asyncio.sleep(LATENCY_S)
                writer.write(ready[step])
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=2**22, backlog=256)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def ours(port: int, tiles: int, png: bytes, folder: str) -> None:
    """Conversations about `tiles` tiles, each with its own picture so that none is in the cache."""
    config = VlmConfig(base_url=f"http://127.0.0.1:{port}/v1", model="stub", concurrency=CONCURRENCY)

    async def run() -> None:
        places = asyncio.Semaphore(2 * CONCURRENCY)

        async def one(k: int) -> None:
            async with places:
                talk = await converse(client, VIEW, MEASURED, png + k.to_bytes(4, "big"), QUESTIONS)
                assert not any(c.reason.startswith("no usable") for c in talk.claims)

        async with ChatClient(config, AnswerCache(Folder(folder))) as client:
            await asyncio.gather(*(one(k) for k in range(tiles)))
            assert client.usage.requests == tiles * TURNS

    asyncio.run(run())


def recorded(png: bytes) -> list[dict[str, Any]]:
    """The requests of one conversation, as ours makes them."""
    seen: list[dict[str, Any]] = []
    ready = [json.loads(a.split(b"\r\n\r\n", 1)[1]) for a in answers()]

    class Recorder(ChatClient):
        async def ask(self, messages: Any, name: str, schema: Any) -> Any:
            from knowlip.hcot.engines.cache import Reply

            wanted = {"name": name, "strict": True, "schema": schema}
            form = {"type": "json_schema", "json_schema": wanted}
            seen.append({"model": "stub", "messages": list(messages), "response_format": form, "max_tokens": 700})
            return Reply(ready[len(seen) - 1]["choices"][0]["message"]["content"], "stop", 0, 0)

    client = Recorder(VlmConfig(model="stub"), AnswerCache(Folder("memory://none")), replay=True)
    asyncio.run(converse(client, VIEW, MEASURED, png, QUESTIONS))
    return seen


def bare(port: int, tiles: int, requests: list[dict[str, Any]]) -> None:
    """The ceiling: ready-made bytes over as many connections as requests may be under way."""
    ready = []
    for request in requests:
        body = json.dumps(request).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nContent-Length: {len(body)}\r\n\r\n"
        ready.append(head.encode() + body)
    left = iter(range(tiles * TURNS))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for k in left:
            writer.write(ready[k % TURNS])
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        writer.close()

    async def run() -> None:
        await asyncio.gather(*(connection() for _ in range(CONCURRENCY)))

    asyncio.run(run())


def threads(port: int, tiles: int, requests: list[dict[str, Any]], workers: int) -> None:
    """A thread a request, with the package's own client: what a user would write."""
    api = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")

    def conversation(_: int) -> None:
        for request in requests:
            json.loads(api.chat.completions.create(**request).choices[0].message.content or "")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(conversation, range(tiles)))


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer tiles, within a minute")
    quick = parser.parse_args().quick
    tiles, rounds = (192, 1) if quick else (320, 2)
    rng = np.random.default_rng(0)
    db = (10 * np.log10(rng.gamma(4.4, 1 / 4.4, (1, SIZE, SIZE))) - 10).astype(np.float32)
    png = picture(TilePixels(db, ("VV",), True, np.zeros(1, np.float32)), 768)
    requests = recorded(png)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    server = context.Process(target=serve, args=(queue,), daemon=True)
    server.start()
    port = queue.get()
    bare(port, CONCURRENCY, requests)
    with tempfile.TemporaryDirectory() as folder:
        ours(port, 1, png, folder)
    best: dict[str, tuple[float, float]] = {}
    try:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                work: dict[str, tuple[int, Callable[[], None]]] = {
                    "server": (tiles, lambda: bare(port, tiles, requests)),
                    "ours": (tiles, lambda folder=folder: ours(port, tiles, png, folder)),  # type: ignore[misc]
                    "threads": (tiles, lambda: threads(port, tiles, requests, CONCURRENCY)),
                    "loop": (4, lambda: threads(port, 4, requests, 1)),
                }
                for name, (count, run) in work.items():
                    wall, processor = timed(run)
                    found = (count * TURNS / wall, 1000 * processor / (count * TURNS))
                    best[name] = max(best.get(name, found), found)
    finally:
        server.terminate()
    ceiling = best["server"][0]
    print(f"{'':10}{'requests/s':>12}{'of server':>12}{'processor ms/request':>24}")
    for name, (rate, processor_ms) in best.items():
        print(f"{name:10}{rate:12.1f}{rate / ceiling:12.1%}{processor_ms:24.2f}")
    figures: dict[str, Any] = {f"{name}_per_s": round(rate, 1) for name, (rate, _) in best.items()}
    figures |= {"share_of_server": round(best["ours"][0] / ceiling, 4), "cpu_ms_per_request": round(best["ours"][1], 2)}
    figures |= {"concurrency": CONCURRENCY, "latency_ms": 1000 * LATENCY_S, "requests": tiles * TURNS}
    figures |= {"picture_kb": round(len(png) / 1000, 1), "processors": os.cpu_count(), "rounds": rounds}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
