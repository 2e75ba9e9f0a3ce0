"""One answer over each dialect, whole and streamed, and one piped prompt.

``scripts/smoke`` needs nothing installed: it is how every Python that the project claims is tried.
``PYTHON=python3.13 scripts/smoke`` tries that one.
"""

from __future__ import annotations

import http.client
import json
import platform
import subprocess
import sys
from typing import Any

from scripts.local_server import ROOT, LocalServer, NotReady, local_server

PROMPT = "hello, smoke"
MESSAGES = [{"role": "user", "content": PROMPT}]


class Broken(Exception):
    """A step that did not do what it must; the text says which and what came instead."""


def ask(server: LocalServer, path: str, **more: Any) -> str:
    body = {"model": "echo", "max_tokens": 64, "messages": MESSAGES} | more
    try:
        status, text = server.ask("POST", path, json.dumps(body))
    except (OSError, http.client.HTTPException) as error:
        raise Broken(f"POST {path}: {error!r}\n{server.said()}") from error
    if status != 200:
        raise Broken(f"POST {path}: {status} {text}")
    return text


def check_proxy(server: LocalServer) -> None:
    anthropic = json.loads(ask(server, "/v1/messages"))["content"][0]["text"]
    expect("/v1/messages", anthropic, PROMPT)
    chat = json.loads(ask(server, "/v1/chat/completions"))["choices"][0]["message"]["content"]
    expect("/v1/chat/completions", chat, PROMPT)
    expect("/v1/messages streamed", ask(server, "/v1/messages", stream=True), "message_stop")
    streamed = ask(server, "/v1/chat/completions", stream=True)
    expect("/v1/chat/completions streamed", streamed, "data: [DONE]")


def check_client() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lmtools.lmc", "-provider", "loopback"],
        cwd=ROOT,
        input=PROMPT.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise Broken(f"lmc: exit status {done.returncode}\n{done.stderr.decode(errors='replace')}")
    expect("lmc", done.stdout.decode(), PROMPT)


def expect(step: str, got: str, part: str) -> None:
    if part not in got:
        raise Broken(f"{step}: no {part!r} in {got!r}")


def main() -> int:
    try:
        with local_server() as server:
            check_proxy(server)
        check_client()
    except (Broken, NotReady) as error:
        print(f"smoke: Python {platform.python_version()}: {error}", file=sys.stderr)
        return 1
    print(f"smoke: Python {platform.python_version()}: both dialects and lmc answer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
