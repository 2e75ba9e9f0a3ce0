"""One toolkit for LLM APIs: canonical types, one codec per wire dialect, transports, clients.

The names below are loaded on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

from .version import VERSION as __version__

# The name that type checkers take for true; ``typing`` itself would be half of this import's time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client import LM as LM
    from .client import Call as Call
    from .client import Stream as Stream
    from .errors import ApiError as ApiError
    from .errors import ApiTimeoutError as ApiTimeoutError
    from .errors import AuthError as AuthError
    from .errors import BillingError as BillingError
    from .errors import CancelledError as CancelledError
    from .errors import ConfigError as ConfigError
    from .errors import ConflictError as ConflictError
    from .errors import ConnectError as ConnectError
    from .errors import ContextLengthError as ContextLengthError
    from .errors import DeadlineError as DeadlineError
    from .errors import InvalidRequestError as InvalidRequestError
    from .errors import LMError as LMError
    from .errors import NotFoundError as NotFoundError
    from .errors import OverloadedError as OverloadedError
    from .errors import PermissionDeniedError as PermissionDeniedError
    from .errors import ProtocolError as ProtocolError
    from .errors import RateLimitError as RateLimitError
    from .errors import RequestError as RequestError
    from .errors import ServerError as ServerError
    from .errors import TooLargeError as TooLargeError
    from .errors import TransportError as TransportError
    from .errors import TruncatedError as TruncatedError
    from .errors import UnsupportedModelError as UnsupportedModelError
    from .loopback import LoopbackTransport as LoopbackTransport
    from .providers import Backend as Backend
    from .providers import open_backend as open_backend
    from .providers import provider_named as provider_named
    from .secret import Secret as Secret
    from .transport import HttpRequest as HttpRequest
    from .transport import HttpResponse as HttpResponse
    from .transport import HttpTransport as HttpTransport
    from .transport import MockTransport as MockTransport
    from .transport import Timeouts as Timeouts
    from .transport import Transport as Transport
    from .types import Assembler as Assembler
    from .types import AudioDelta as AudioDelta
    from .types import AudioPart as AudioPart
    from .types import BinaryPart as BinaryPart
    from .types import BuiltinCallDelta as BuiltinCallDelta
    from .types import BuiltinCallPart as BuiltinCallPart
    from .types import BuiltinResultPart as BuiltinResultPart
    from .types import BuiltinTool as BuiltinTool
    from .types import CacheMark as CacheMark
    from .types import CitationDelta as CitationDelta
    from .types import CitationPart as CitationPart
    from .types import CustomTool as CustomTool
    from .types import DocumentPart as DocumentPart
    from .types import End as End
    from .types import Event as Event
    from .types import FunctionTool as FunctionTool
    from .types import ImagePart as ImagePart
    from .types import MediaPart as MediaPart
    from .types import Message as Message
    from .types import ModelInfo as ModelInfo
    from .types import Opaque as Opaque
    from .types import OpaqueDelta as OpaqueDelta
    from .types import OpaquePart as OpaquePart
    from .types import OutputFormat as OutputFormat
    from .types import Part as Part
    from .types import PartDelta as PartDelta
    from .types import PartEnd as PartEnd
    from .types import Reasoning as Reasoning
    from .types import RefusalDelta as RefusalDelta
    from .types import RefusalPart as RefusalPart
    from .types import Request as Request
    from .types import Response as Response
    from .types import Start as Start
    from .types import StreamError as StreamError
    from .types import TextDelta as TextDelta
    from .types import TextPart as TextPart
    from .types import ThinkingDelta as ThinkingDelta
    from .types import ThinkingPart as ThinkingPart
    from .types import TokenLogprob as TokenLogprob
    from .types import Tool as Tool
    from .types import ToolCallDelta as ToolCallDelta
    from .types import ToolCallPart as ToolCallPart
    from .types import ToolChoice as ToolChoice
    from .types import ToolRef as ToolRef
    from .types import ToolResultPart as ToolResultPart
    from .types import ToolsPart as ToolsPart
    from .types import Usage as Usage
    from .types import VideoPart as VideoPart
    from .types import as_parts as as_parts
    from .types import events_from_response as events_from_response
    from .types import response_from_events as response_from_events

_HOMES: dict[str, tuple[str, ...]] = {
    "client": (
        "Call",
        "LM",
        "Stream",
    ),
    "errors": (
        "ApiError",
        "ApiTimeoutError",
        "AuthError",
        "BillingError",
        "CancelledError",
        "ConfigError",
        "ConflictError",
        "ConnectError",
        "ContextLengthError",
        "DeadlineError",
        "InvalidRequestError",
        "LMError",
        "NotFoundError",
        "OverloadedError",
        "PermissionDeniedError",
        "ProtocolError",
        "RateLimitError",
        "RequestError",
        "ServerError",
        "TooLargeError",
        "TransportError",
        "TruncatedError",
        "UnsupportedModelError",
    ),
    "loopback": ("LoopbackTransport",),
    "providers": (
        "Backend",
        "open_backend",
        "provider_named",
    ),
    "secret": ("Secret",),
    "transport": (
        "HttpRequest",
        "HttpResponse",
        "HttpTransport",
        "MockTransport",
        "Timeouts",
        "Transport",
    ),
    "types": (
        "Assembler",
        "AudioDelta",
        "AudioPart",
        "BinaryPart",
        "BuiltinCallDelta",
        "BuiltinCallPart",
        "BuiltinResultPart",
        "BuiltinTool",
        "CacheMark",
        "CitationDelta",
        "CitationPart",
        "CustomTool",
        "DocumentPart",
        "End",
        "Event",
        "FunctionTool",
        "ImagePart",
        "MediaPart",
        "Message",
        "ModelInfo",
        "Opaque",
        "OpaqueDelta",
        "OpaquePart",
        "OutputFormat",
        "Part",
        "PartDelta",
        "PartEnd",
        "Reasoning",
        "RefusalDelta",
        "RefusalPart",
        "Request",
        "Response",
        "Start",
        "StreamError",
        "TextDelta",
        "TextPart",
        "ThinkingDelta",
        "ThinkingPart",
        "TokenLogprob",
        "Tool",
        "ToolCallDelta",
        "ToolCallPart",
        "ToolChoice",
        "ToolRef",
        "ToolResultPart",
        "ToolsPart",
        "Usage",
        "VideoPart",
        "as_parts",
        "events_from_response",
        "response_from_events",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "LM",
    "ApiError",
    "ApiTimeoutError",
    "Assembler",
    "AudioDelta",
    "AudioPart",
    "AuthError",
    "Backend",
    "BillingError",
    "BinaryPart",
    "BuiltinCallDelta",
    "BuiltinCallPart",
    "BuiltinResultPart",
    "BuiltinTool",
    "CacheMark",
    "Call",
    "CancelledError",
    "CitationDelta",
    "CitationPart",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ContextLengthError",
    "CustomTool",
    "DeadlineError",
    "DocumentPart",
    "End",
    "Event",
    "FunctionTool",
    "HttpRequest",
    "HttpResponse",
    "HttpTransport",
    "ImagePart",
    "InvalidRequestError",
    "LMError",
    "LoopbackTransport",
    "MediaPart",
    "Message",
    "MockTransport",
    "ModelInfo",
    "NotFoundError",
    "Opaque",
    "OpaqueDelta",
    "OpaquePart",
    "OutputFormat",
    "OverloadedError",
    "Part",
    "PartDelta",
    "PartEnd",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "Reasoning",
    "RefusalDelta",
    "RefusalPart",
    "Request",
    "RequestError",
    "Response",
    "Secret",
    "ServerError",
    "Start",
    "Stream",
    "StreamError",
    "TextDelta",
    "TextPart",
    "ThinkingDelta",
    "ThinkingPart",
    "Timeouts",
    "TokenLogprob",
    "TooLargeError",
    "Tool",
    "ToolCallDelta",
    "ToolCallPart",
    "ToolChoice",
    "ToolRef",
    "ToolResultPart",
    "ToolsPart",
    "Transport",
    "TransportError",
    "TruncatedError",
    "UnsupportedModelError",
    "Usage",
    "VideoPart",
    "__version__",
    "as_parts",
    "events_from_response",
    "open_backend",
    "provider_named",
    "response_from_events",
]


def __getattr__(name: str) -> object:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME))
