"""What an HTTP exchange costs the caller: urlopen, http.client, and http1 on a kept socket.

``scripts/bench_http`` prints the CPU time of this process per call, medians over rounds, against a
server in another process that answers every head with the same bytes. docs/adr/0001 cites it.
"""

from __future__ import annotations

import http.client
import io
import multiprocessing
import platform
import socket
import statistics
import time
import urllib.request
from collections.abc import Callable
from multiprocessing.connection import Connection

from lmtools import http1

ROUNDS = 21
CALLS = 200

# 16 header fields, as an LLM API sends them.
FIELDS = (
    ("Date", "Tue, 04 Mar 2025 10:00:00 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", "512"),
    ("Connection", "keep-alive"),
    ("Cache-Control", "no-cache"),
    ("X-Request-Id", "req_0123456789abcdef"),
    *((f"X-RateLimit-{number}", str(number * 100)) for number in range(10)),
)
BODY = b"x" * 512
HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in FIELDS) + b"\r\n"
REQUEST = (
    ("Host", "127.0.0.1"),
    ("Accept", "application/json"),
    ("User-Agent", "bench"),
)


def serve(ready: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready.send(server.getsockname()[1])
        while True:
            with server.accept()[0] as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answer(client)


def answer(client: socket.socket) -> None:
    while asked := client.recv(65536):
        client.sendall(HEAD + BODY)
        if b"Connection: close" in asked:
            return


def cpu_us(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the median over rounds of this process's CPU time per call."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        for _ in range(calls):
            call()
        rounds.append((time.process_time_ns() - start) / calls / 1000)
    return statistics.median(rounds)


def parse_with_library() -> None:
    file = io.BytesIO(HEAD)
    file.readline()
    http.client.parse_headers(file)


def parse_with_http1() -> None:
    http1.parse_response_head(HEAD)


def call_urlopen(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
        response.read()


def call_http_client(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/", headers=dict(REQUEST[1:]))
    connection.getresponse().read()


def call_http1(connection: socket.socket) -> None:
    connection.sendall(http1.render_request_head("GET", "/", REQUEST))
    received = connection.recv(65536)
    end = http1.head_end(received, 0)
    head = http1.parse_response_head(received[:end])
    body = http1.BodyReader(http1.response_framing(head, "GET"), limit=1 << 20)
    body.feed(received[end:])
    while not body.done:
        body.feed(connection.recv(65536))


def measure(port: int) -> dict[str, float]:
    library = http.client.HTTPConnection("127.0.0.1", port)
    figures = {
        "head, email.parser": cpu_us(parse_with_library),
        "head, http1": cpu_us(parse_with_http1),
        "call, urlopen": cpu_us(lambda: call_urlopen(port)),
        "call, http.client kept": cpu_us(lambda: call_http_client(library)),
    }
    library.close()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return figures | {"call, http1 kept": cpu_us(lambda: call_http1(connection))}


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    figures = measure(ours.recv())
    server.terminate()
    server.join()
    print(f"CPU per call, medians of {ROUNDS} rounds, Python {platform.python_version()}")
    for name, figure in figures.items():
        floor = figures["head, http1" if name.startswith("head") else "call, http1 kept"]
        print(f"{name:24} {figure:7.1f} us {figure / floor:6.1f} x")


if __name__ == "__main__":
    main()
