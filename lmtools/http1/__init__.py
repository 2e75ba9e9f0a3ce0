"""HTTP/1.1 heads, framing and bodies as values, for both roles (RFC 9112).

A server parses request heads and renders response heads; a client does the reverse. Both read
bodies through ``BodyReader``. Nothing here waits or knows a socket: bytes go in, values come out,
and "more is needed" is a value (``head_end`` gives -1, ``BodyReader.done`` stays False).

Requests are parsed strictly, since two readers who disagree on where a request ends let one client
speak in another's name (request smuggling): lines end with CRLF and nothing else, names are tokens
right before their colon, no folded lines, no control characters, one Host, a length or ``chunked``
but never both. Answers may end lines with LF, fold them and put blanks before the colon; they stay
bounded. Chunked bodies are strict both ways.
"""

from .bodies import (
    LAST_CHUNK,
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BodyReader,
    BodyTooLargeError,
    Framing,
    encode_chunk,
    keep_alive,
    request_framing,
    response_framing,
)
from .heads import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_REQUEST_LINE,
    MAX_RESPONSE_HEADERS,
    REASONS,
    Headers,
    RequestHead,
    RequestHeadError,
    ResponseHead,
    check_partial_request,
    find,
    find_all,
    head_end,
    merge,
    parse_request_head,
    parse_response_head,
    render_request_head,
    render_response_head,
    words,
)

__all__ = [
    "LAST_CHUNK", "MAX_CHUNK_LINE", "MAX_HEAD", "MAX_HEADERS", "MAX_REQUEST_LINE",
    "MAX_RESPONSE_HEADERS", "MAX_TRAILERS", "REASONS", "BodyReader", "BodyTooLargeError", "Framing",
    "Headers", "RequestHead", "RequestHeadError", "ResponseHead", "check_partial_request",
    "encode_chunk", "find", "find_all", "head_end", "keep_alive", "merge",
    "parse_request_head", "parse_response_head", "render_request_head", "render_response_head",
    "request_framing", "response_framing", "words",
]  # fmt: skip
