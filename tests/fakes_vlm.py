"""A server that speaks the OpenAI chat protocol on loopback, and misbehaves as a script says."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-secret-of-the-test"

ENGLISH = "The picture shows the ground of this place with bright and dark parts."


@dataclass
class Response:
    """What is sent back: a body as JSON or as raw bytes, after `wait_s`."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    promised_bytes: int = 0
    drip_s: float = 0.0


def completion(content: str, finish: str = "stop") -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return Response(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "stub", "choices": [choice], "usage": usage}
    )


def failure(status: int, message: str = "no", **headers: str) -> Response:
    return Response({"error": {"message": message, "type": "stub"}}, status, headers)


def schema_of(request: dict) -> dict:
    """The answer's schema: from `response_format`, or in words in the last message."""
    form = request.get("response_format", {})
    if form.get("type") == "json_schema":
        return form["json_schema"]["schema"]
    words = request["messages"][-1]["content"][-1]["text"]
    return json.loads(words.split("\n", 1)[1])


def fitting(request: dict, **wanted: Any) -> dict:
    """An answer that fits the schema: the first value allowed, unless another is wanted."""

    def value(spec: dict) -> Any:
        if "anyOf" in spec:
            return None
        if "enum" in spec:
            return spec["enum"][0]
        return {"string": ENGLISH, "boolean": False, "integer": 0, "number": 0.0}[spec["type"]]

    properties = schema_of(request)["properties"]
    return {name: wanted.get(name, value(spec)) for name, spec in properties.items()}


def good(request: dict, n: int) -> Response:
    return completion(json.dumps(fitting(request)))


def words_of(request: dict) -> str:
    """All text of a request."""
    contents = [m["content"] for m in request["messages"]]
    return "\n".join(c if isinstance(c, str) else "\n".join(p.get("text", "") for p in c) for c in contents)


class Stub:
    """The server. `behave(request, n)` gives the response to the n-th request; `requests` and `times` keep them."""

    def __init__(self) -> None:
        self.behave = good
        self.requests: list[dict] = []
        self.times: list[float] = []
        self.keys: set[str | None] = set()
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def serving():
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                # the client was killed while it was sending
                self.close_connection = True
                return
            request = json.loads(body)
            with stub.lock:
                n = len(stub.requests)
                stub.requests.append(request)
                stub.times.append(time.monotonic())
                stub.keys.add(self.headers["Authorization"])
                stub.busy += 1
                stub.busiest = max(stub.busy, stub.busiest)
            try:
                self._send(stub.behave(request, n))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with stub.lock:
                    stub.busy -= 1

        def _send(self, response: Response) -> None:
            time.sleep(response.wait_s)
            body = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(max(len(body), response.promised_bytes)))
            self.end_headers()
            if response.drip_s:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(response.drip_s)
            else:
                self.wfile.write(body)
            if response.promised_bytes > len(body):
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
