"""What the proxy sent to an SDK, byte for byte, kept beside what the SDK made of it."""

from __future__ import annotations

import importlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

CLIENT_KEY = "sk-client-key-0001"
#: Seconds; longer than the longest silence.
TIMEOUT_S = 40.0
#: Loading certificates for every client would take longer than all that is tested.
_CONTEXT = ssl.create_default_context()


@dataclass
class Came:
    """One answer as it came: ``raw`` grows while the SDK reads."""

    status: int
    headers: dict[str, str]
    raw: bytearray = field(default_factory=bytearray)

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def body(self) -> Any:
        return json.loads(bytes(self.raw))

    @property
    def frames(self) -> list[tuple[str | None, str]]:
        """(event, data) of a stream's events, in order; comments left out."""
        found = []
        for block in self.raw.decode().split("\n\n"):
            rows = [line.partition(":") for line in block.split("\n")]
            data = [value.removeprefix(" ") for name, _, value in rows if name == "data"]
            names = [value.removeprefix(" ") for name, _, value in rows if name == "event"]
            if data:
                found.append((names[-1] if names else None, "\n".join(data)))
        return found

    @property
    def pings(self) -> int:
        """How often a stream said that it lives: comments, and Anthropic's own events."""
        lines = self.raw.decode().split("\n")
        return sum(line.startswith(":") or line == "event: ping" for line in lines)

    @property
    def losses(self) -> list[str]:
        """``path;action`` of what the request lost on its way to the provider."""
        said = self.headers.get("x-lmtools-loss", "")
        return [item.strip() for item in said.split(",") if item.strip()]


class Tap:
    """Makes HTTP clients for an SDK, whose answers are kept in ``came``."""

    def __init__(self, sdk: Any) -> None:
        self.came: list[Came] = []
        self._sdk = sdk
        # The SDKs are built on httpx, or on its successor of another name.
        base = next(c for c in sdk.DefaultHttpxClient.__mro__ if c.__name__ == "Client")
        self._http = importlib.import_module(base.__module__.partition(".")[0])

    def client(self) -> Any:
        return self._sdk.DefaultHttpxClient(
            verify=_CONTEXT, trust_env=False, event_hooks={"response": [self._hook]}
        )

    def async_client(self) -> Any:
        return self._sdk.DefaultAsyncHttpxClient(
            verify=_CONTEXT, trust_env=False, event_hooks={"response": [self._async_hook]}
        )

    def _keep(self, response: Any) -> Came:
        found = Came(response.status_code, {k.lower(): v for k, v in response.headers.items()})
        self.came.append(found)
        return found

    def _hook(self, response: Any) -> None:
        came, inner = self._keep(response), response.stream

        class Tee(self._http.SyncByteStream):  # type: ignore[misc,name-defined]
            def __iter__(self) -> Iterator[bytes]:
                for data in inner:
                    came.raw += data
                    yield data

            def close(self) -> None:
                inner.close()

        response.stream = Tee()

    async def _async_hook(self, response: Any) -> None:
        came, inner = self._keep(response), response.stream

        class Tee(self._http.AsyncByteStream):  # type: ignore[misc,name-defined]
            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for data in inner:
                    came.raw += data
                    yield data

            async def aclose(self) -> None:
                await inner.aclose()

        response.stream = Tee()
