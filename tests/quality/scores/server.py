"""A real HTTP server of chat completions that misbehaves on purpose."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quality.models.chat import PROBE

KEY = "sk-very-secret-0123456789"


GOOD = {"helpfulness": 4, "relevance": 5, "accuracy": 3.5, "detail": 4, "reason": "可以"}


class Server:
    """Behaves as the words in a prompt say: `[429]`, `[cut]` ... once, `[429!]` for ever.

    Attributes:
        key: The key that it takes; with another one it answers 401. Empty means any.
        model: The model that it has; for another one it answers 404. Empty means any.
        down: Whether it answers 503 to everything.
        probes: Number of probes, which are in `requests` only if they were refused.
    """

    def __init__(self) -> None:
        self.key = self.model = ""
        self.down = False
        self.probes = 0
        self.requests: list[dict[str, Any]] = []
        self.tries: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                refusal = outer.refusal(self.headers.get("authorization", ""), body["model"])
                if body["messages"][-1]["content"] == PROBE:
                    outer.probes += 1
                    outer.send(self, *(refusal or (200, outer.completion("OK"))))
                    return
                with outer.lock:
                    outer.requests.append({"time": time.monotonic(), "path": self.path, **body})
                    outer.keys.add(self.headers.get("authorization", ""))
                    outer.busy += 1
                    outer.most_busy = max(outer.most_busy, outer.busy)
                    prompt = body["messages"][-1]["content"]
                    outer.tries[prompt] += 1
                    first = outer.tries[prompt] == 1
                try:
                    if refusal:
                        outer.send(self, *refusal)
                    else:
                        outer.answer(self, prompt, first)
                finally:
                    with outer.lock:
                        outer.busy -= 1

        class Listener(ThreadingHTTPServer):
            # five by default: more connections at once are dropped and sent again a second later, past the timeout
            request_queue_size = 128

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refusal(self, authorization: str, model: str) -> tuple[int, bytes] | None:
        """Status and body of the answer to a request that nobody may make, or that nobody answers."""
        if self.down:
            return 503, b'{"detail": "no\\n worker"}'
        if self.key and authorization != f"Bearer {self.key}":
            said = f"Incorrect API key: {authorization.removeprefix('Bearer ')}."
            return 401, json.dumps({"error": {"message": said, "code": "invalid_api_key"}}).encode()
        if self.model and model != self.model:
            return 404, json.dumps({"error": {"message": f"The model `{model}` does not exist."}}).encode()
        return None

    def answer(self, handler: BaseHTTPRequestHandler, prompt: str, first: bool) -> None:
        def says(word: str) -> bool:
            return f"[{word}!]" in prompt or (f"[{word}]" in prompt and first)

        if says("slow"):
            time.sleep(3)
        if says("drip"):
            return self.drip(handler)
        if says("close"):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return None
        good = json.dumps(GOOD)
        answers: dict[str, tuple[int, bytes, dict[str, str]]] = {
            "429": (429, b'{"error": "slow down"}', {"Retry-After": "0.2"}),
            "500": (500, b"oops", {}),
            "401": (401, f"bad key {KEY}".encode(), {}),
            "402": (402, b'{"error": {"message": "Insufficient Balance"}}', {}),
            "quota": (429, b'{"error": {"code": "insufficient_quota", "message": "no quota"}}', {}),
            "403": (403, b'{"error": {"message": "Your input was flagged by moderation"}}', {}),
            "400": (400, b'{"error": {"message": "content filter", "code": "content_filter"}}', {}),
            "301": (301, b"", {"location": "https://elsewhere/v1"}),
            "empty": (200, self.completion(None, "content_filter"), {}),
            "cut": (200, self.completion(good)[:60], {}),
            "half": (200, self.completion('{"helpfulness": 4, "rel'), {}),
            "scale": (200, self.completion(json.dumps({**GOOD, "accuracy": 9})), {}),
            "words": (200, self.completion("很好，我给四分。"), {}),
            "fence": (200, self.completion(f"当然：\n```json\n{good}\n```"), {}),
        }
        chosen = next((answer for word, answer in answers.items() if says(word)), (200, self.completion(good), {}))
        return self.send(handler, *chosen)

    @staticmethod
    def drip(handler: BaseHTTPRequestHandler) -> None:
        """Announce a long answer and send a byte now and then."""
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.2)

    @staticmethod
    def completion(content: str | None, ending: str = "stop") -> bytes:
        choice = {"message": {"content": content}, "finish_reason": ending}
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        return json.dumps({"choices": [choice], "usage": usage}).encode()

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
