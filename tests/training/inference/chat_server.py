"""A chat endpoint whose answers a test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quality.models.chat import PROBE


class ChatServer:
    """An OpenAI-compatible server; `reply` answers a prompt, or returns None for status 400.

    `refusal` is the status of its answer to everything; 0 for none. Probes are answered, and not in `requests`.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.refusal = 0
        self.reply: Callable[[str], str | None] = lambda _prompt: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                prompt = body["messages"][-1]["content"]
                if prompt != PROBE:
                    outer.requests.append(body)
                text = None if outer.refusal else "OK" if prompt == PROBE else outer.reply(prompt)
                usage = {"prompt_tokens": 1, "completion_tokens": 1}
                content = {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}
                data = b"no" if text is None else json.dumps(content).encode()
                self.send_response(outer.refusal or (400 if text is None else 200))
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
