"""A real HTTP server of chat completions that misbehaves on purpose."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-very-secret-0123456789"


GOOD = {"helpfulness": 4, "relevance": 5, "accuracy": 3.5, "detail": 4, "reason": "可以"}


class Server:
    """Behaves as the words in a prompt say (`[429]`, `[cut]` ...), each misbehaviour `times` times, or for ever."""

    def __init__(self) -> None:
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
                with outer.lock:
                    outer.requests.append({"time": time.monotonic(), "path": self.path, **body})
                    outer.keys.add(self.headers.get("authorization", ""))
                    outer.busy += 1
                    outer.most_busy = max(outer.most_busy, outer.busy)
                    prompt = body["messages"][-1]["content"]
                    outer.tries[prompt] += 1
                    first = outer.tries[prompt] == 1
                try:
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
    def completion(content: str) -> bytes:
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        return json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
