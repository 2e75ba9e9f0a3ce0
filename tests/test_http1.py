"""HTTP/1.1 heads, framing and bodies, both roles, whole and byte by byte."""

from __future__ import annotations

import gc
import random
import weakref

import pytest

from lmtools import http1
from lmtools.errors import ProtocolError, RequestError, TruncatedError
from lmtools.http1 import (
    LAST_CHUNK,
    MAX_CHUNK_LINE,
    MAX_HEAD,
    MAX_HEADERS,
    MAX_REQUEST_LINE,
    MAX_RESPONSE_HEADERS,
    MAX_TRAILERS,
    BodyReader,
    BodyTooLargeError,
    Framing,
    RequestHead,
    RequestHeadError,
    ResponseHead,
    check_partial_request,
    encode_chunk,
    find,
    find_all,
    head_end,
    keep_alive,
    merge,
    parse_request_head,
    parse_response_head,
    render_request_head,
    render_response_head,
    request_framing,
    response_framing,
    words,
)

HOST = (("Host", "a"),)


def request(*lines: str, host: bool = True) -> bytes:
    """A request head of these lines; the first is the request line."""
    fields = ["Host: a", *lines[1:]] if host else lines[1:]
    return "\r\n".join([lines[0], *fields, "", ""]).encode("latin-1")


# Requests

HEADS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestHead("GET", "/", "1.1", HOST)),
    (b"GET / HTTP/1.0\r\n\r\n", RequestHead("GET", "/", "1.0", ())),
    (
        b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: a:8080\r\nX-A: 1\r\nx-a: 2\r\n\r\n",
        RequestHead(
            "POST",
            "/v1/messages?beta=true",
            "1.1",
            (("Host", "a:8080"), ("X-A", "1"), ("x-a", "2")),
        ),
    ),
    (
        b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        RequestHead("OPTIONS", "*", "1.1", (("Host", "[::1]:80"),)),
    ),
    (
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: \r\n\r\n",
        RequestHead("CONNECT", "a.example:443", "1.1", (("Host", ""),)),
    ),
]


@pytest.mark.parametrize(("wire", "head"), HEADS)
def test_a_request_head_and_its_bytes_are_the_same_thing(wire, head):
    assert parse_request_head(wire) == head
    if head.version == "1.1":
        assert render_request_head(head.method, head.target, head.headers) == wire


def test_blanks_around_a_value_are_not_part_of_it():
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost:a\r\nX: \t b c\xe9 \t\r\nEmpty:\r\n\r\n")
    assert head.headers == (("Host", "a"), ("X", "b cé"), ("Empty", ""))


def test_one_empty_line_before_a_request_is_passed_over():
    assert parse_request_head(b"\r\nGET / HTTP/1.0\r\n\r\n").method == "GET"


REFUSED_HEADS = [
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("bare LF after a header", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    ("bare LF as blank line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400),
    ("bare CR before CRLF", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n", 400),
    ("bare CR in the request line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("two empty lines first", b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", 400),
    ("only an empty line", b"\r\n\r\n", 400),
    ("folded header", request("GET / HTTP/1.1", "X: a", " b"), 400),
    ("folded header with tab", request("GET / HTTP/1.1", "X: a", "\tb"), 400),
    ("blank before the first header", request("GET / HTTP/1.1", " X: a", host=False), 400),
    ("space before colon", request("GET / HTTP/1.1", "Content-Length : 5"), 400),
    ("tab before colon", request("GET / HTTP/1.1", "Content-Length\t: 5"), 400),
    ("no colon", request("GET / HTTP/1.1", "nonsense"), 400),
    ("empty name", request("GET / HTTP/1.1", ": a"), 400),
    ("name with a bracket", request("GET / HTTP/1.1", "a(b): c"), 400),
    ("name with a high byte", request("GET / HTTP/1.1", "ré: c"), 400),
    ("NUL in a value", request("GET / HTTP/1.1", "X: a\0b"), 400),
    ("control in a value", request("GET / HTTP/1.1", "X: a\x0bb"), 400),
    ("DEL in a value", request("GET / HTTP/1.1", "X: a\x7fb"), 400),
    ("NUL in a name", request("GET / HTTP/1.1", "X\0: a"), 400),
    ("no version", request("GET /"), 400),
    ("two spaces", request("GET  / HTTP/1.1"), 400),
    ("trailing space", request("GET / HTTP/1.1 "), 400),
    ("leading space", request(" GET / HTTP/1.1"), 400),
    ("tab between words", request("GET\t/ HTTP/1.1"), 400),
    ("space in the target", request("GET /a b HTTP/1.1"), 400),
    ("control in the target", request("GET /\x01 HTTP/1.1"), 400),
    ("high byte in the target", request("GET /é HTTP/1.1"), 400),
    ("lower-case http", request("GET / http/1.1"), 400),
    ("version of one number", request("GET / HTTP/1"), 400),
    ("version of two digits", request("GET / HTTP/1.10"), 400),
    ("method is no token", request("G@T / HTTP/1.1"), 400),
    ("endless method", request("G" * 33 + " / HTTP/1.1"), 400),
    ("TLS hello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\n", 505),
    ("HTTP/1.2", request("GET / HTTP/1.2"), 505),
    ("HTTP/0.9 with a version", request("GET / HTTP/0.9"), 505),
    ("no Host", request("GET / HTTP/1.1", host=False), 400),
    ("two Hosts", request("GET / HTTP/1.1", "host: a"), 400),
    ("Host with a path", request("GET / HTTP/1.1", "Host: a/b", host=False), 400),
    ("Host with a comma", request("GET / HTTP/1.1", "Host: a,b", host=False), 400),
    ("Host with userinfo", request("GET / HTTP/1.1", "Host: a@b", host=False), 400),
    ("long request line", request("GET /" + "a" * MAX_REQUEST_LINE + " HTTP/1.1"), 414),
    ("many headers", request("GET / HTTP/1.1", *["X: y"] * MAX_HEADERS), 431),
    ("long head", request("GET / HTTP/1.1", "X: " + "y" * MAX_HEAD), 431),
    ("no blank line", b"GET / HTTP/1.1\r\nHost: a\r\n", 400),
    ("cut in a header", b"GET / HTTP/1.1\r\nHost: a", 400),
    ("bytes after the blank line", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nX: b\r\n\r\n", 400),
]


@pytest.mark.parametrize(
    ("_name", "wire", "status"), REFUSED_HEADS, ids=[r[0] for r in REFUSED_HEADS]
)
def test_a_request_head_that_breaks_a_rule_is_refused(_name, wire, status):
    with pytest.raises(RequestHeadError) as caught:
        parse_request_head(wire)
    assert caught.value.status == status
    assert str(caught.value).startswith(("request ", "HTTP/"))


def test_a_refusal_names_the_rule_and_the_line_but_not_the_value():
    with pytest.raises(RequestHeadError, match="header line 2: a blank before the colon") as caught:
        parse_request_head(request("GET / HTTP/1.1", "Authorization : Bearer secret"))
    assert "secret" not in str(caught.value)


def test_a_head_of_exactly_the_limits_is_taken():
    line = "GET /" + "a" * (MAX_REQUEST_LINE - len("GET / HTTP/1.1")) + " HTTP/1.1"
    assert parse_request_head(request(line, *["X: y"] * (MAX_HEADERS - 1))).method == "GET"
    head = request("GET / HTTP/1.1", "X: ")
    padded = head[:-4] + b"y" * (MAX_HEAD - len(head)) + head[-4:]
    assert len(padded) == MAX_HEAD
    assert parse_request_head(padded).method == "GET"


ENDS = [
    (b"", -1),
    (b"GET / HTTP/1.1\r\nHost: a\r\n", -1),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r", -1),
    (b"A\r\n\r\nbody", 5),
    (b"A\n\nbody", 3),
    (b"A\r\n\nbody", 4),
    (b"A\n\r\nbody\n\n", 4),
    (b"A\n\nB\r\n\r\n", 3),
    (b"A\r\n\r\n", 5),
]


@pytest.mark.parametrize(("wire", "end"), ENDS)
def test_the_end_of_a_head_is_found_whole_and_byte_by_byte(wire, end):
    assert head_end(wire) == end
    searched, found, buffer = 0, -1, bytearray()
    for byte in wire:
        buffer.append(byte)
        found = head_end(buffer, searched)
        if found >= 0:
            break
        searched = len(buffer)
    assert found == end


def test_a_head_without_an_end_is_refused_when_it_passes_a_bound():
    with pytest.raises(RequestHeadError, match="TLS; this port speaks http://"):
        check_partial_request(b"\x16\x03\x01\x02")
    check_partial_request(b"")
    check_partial_request(b"G" * MAX_REQUEST_LINE)
    check_partial_request(b"GET / HTTP/1.1\r\n" + b"x" * MAX_REQUEST_LINE)
    with pytest.raises(RequestHeadError, match="request line") as caught:
        check_partial_request(b"G" * (MAX_REQUEST_LINE + 3))
    assert caught.value.status == 414
    with pytest.raises(RequestHeadError, match="request head") as caught:
        check_partial_request(bytearray(b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD))
    assert caught.value.status == 431


# Answers

RESPONSES = [
    (b"HTTP/1.1 200 OK\r\n\r\n", ResponseHead(200, "OK", "1.1", ())),
    (b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n", ResponseHead(404, "Not Found", "1.0", (("A", "b"),))),
    (b"HTTP/1.1 200\r\n\r\n", ResponseHead(200, "", "1.1", ())),
    (b"HTTP/1.1 529 \r\n\r\n", ResponseHead(529, "", "1.1", ())),
    (b"HTTP/1.1 200 OK\nA: b\nC:d\n\n", ResponseHead(200, "OK", "1.1", (("A", "b"), ("C", "d")))),
    (b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\td\r\n\r\n", ResponseHead(200, "OK", "1.1", (("A", "b c d"),))),
    (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", ResponseHead(200, "OK", "1.1", (("A", "b"),))),
    (b"HTTP/1.1 200 \xe9t\xe9\r\nA: \xe9\r\n\r\n", ResponseHead(200, "été", "1.1", (("A", "é"),))),
    (b"HTTP/1.3 200 OK\r\n\r\n", ResponseHead(200, "OK", "1.1", ())),
    # Sixty thousand blanks must not cost a search from each of them.
    (b"HTTP/1.1 200 OK\nA:" + b" " * 60_000 + b"b\n\n", ResponseHead(200, "OK", "1.1", (("A", "b"),))),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "head"), RESPONSES)
def test_a_response_head_is_read_with_some_tolerance(wire, head):
    assert parse_response_head(wire) == head


REFUSED_RESPONSES = [
    b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 000 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"<html>\r\n\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: \x1b[31m\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_RESPONSE_HEADERS + 1) + b"\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD + b"\r\n\r\n",
]


@pytest.mark.parametrize("wire", REFUSED_RESPONSES)
def test_a_response_head_that_is_none_is_refused(wire):
    with pytest.raises(ProtocolError, match="response head"):
        parse_response_head(wire)


# Rendering


def test_a_response_head_is_rendered_with_its_usual_reason():
    assert (
        render_response_head(429, (("Retry-After", "3"),))
        == b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n\r\n"
    )
    assert render_response_head(599, ()) == b"HTTP/1.1 599 \r\n\r\n"
    assert render_response_head(200, (), "Fine") == b"HTTP/1.1 200 Fine\r\n\r\n"


def test_what_is_rendered_is_parsed_back():
    headers = (("Host", "a"), ("X", "é"), ("Y", ""), ("Z", "a: b\t,c"))
    assert parse_request_head(render_request_head("PUT", "/x?y=%20", headers)) == RequestHead(
        "PUT", "/x?y=%20", "1.1", headers
    )
    for status, reason in http1.REASONS.items():
        head = parse_response_head(render_response_head(status, headers))
        assert head == ResponseHead(status, reason, "1.1", headers)


BAD_HEADERS = [
    ("X", "a\r\nY: b"),
    ("X", "a\n"),
    ("X", "a\rb"),
    ("X", "a\0b"),
    ("X", "a\x7f"),
    ("X", "\u20ac"),
    ("X\r\nY", "a"),
    ("X:", "a"),
    ("X Y", "a"),
    ("", "a"),
    ("é", "a"),
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_a_header_that_would_become_another_is_not_rendered(header):
    with pytest.raises(RequestError, match="headers"):
        render_request_head("GET", "/", (header,))
    with pytest.raises(RequestError, match="headers"):
        render_response_head(200, (header,))


def test_the_refusal_of_a_header_does_not_show_its_value():
    with pytest.raises(RequestError) as caught:
        render_request_head("GET", "/", (("Authorization", "Bearer secret\n"),))
    assert caught.value.path == "headers.Authorization"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        ("GET ", "/", "method"),
        ("", "/", "method"),
        ("G\r\n", "/", "method"),
        ("GET", "", "target"),
        ("GET", "/a b", "target"),
        ("GET", "/\r\nX: y", "target"),
        ("GET", "/é", "target"),
    ],
)
def test_a_request_line_that_would_become_another_is_not_rendered(method, target, path):
    with pytest.raises(RequestError) as caught:
        render_request_head(method, target, ())
    assert caught.value.path == path


@pytest.mark.parametrize(("status", "reason", "path"), [(99, None, "status"), (1000, None, "status"),
                                                        (200, "a\r\nX: y", "reason")])  # fmt: skip
def test_a_status_line_that_would_become_another_is_not_rendered(status, reason, path):
    with pytest.raises(RequestError) as caught:
        render_response_head(status, (), reason)
    assert caught.value.path == path


# Looking headers up


def test_headers_are_found_in_any_case():
    headers = (("Content-Type", "a/b"), ("X", "1"), ("x", "2, Three"))
    assert find(headers, "content-TYPE") == "a/b"
    assert find(headers, "absent") is None
    assert find_all(headers, "X") == ["1", "2, Three"]
    assert words(headers, "X") == ["1", "2", "three"]
    assert words((("X", " ,, a ,"),), "x") == ["a"]


# Framing

CL, TE = "Content-Length", "Transfer-Encoding"
REQUEST_FRAMINGS = [
    ((), "1.1", Framing("none")),
    (((CL, "0"),), "1.1", Framing("length", 0)),
    (((CL, "12"),), "1.0", Framing("length", 12)),
    (((CL, "12"), (CL, "12")), "1.1", Framing("length", 12)),
    (((TE, "chunked"),), "1.1", Framing("chunked")),
    (((TE, "Chunked "),), "1.1", Framing("chunked")),
]


@pytest.mark.parametrize(("headers", "version", "framing"), REQUEST_FRAMINGS)
def test_a_request_body_ends_where_its_head_says(headers, version, framing):
    assert request_framing(RequestHead("POST", "/", version, headers)) == framing


REFUSED_FRAMINGS = [
    (((CL, "12"), (CL, "13")), 400),
    (((CL, "12"), (CL, "012")), 400),
    (((CL, "12, 12"),), 400),
    (((CL, "+12"),), 400),
    (((CL, "-1"),), 400),
    (((CL, ""),), 400),
    (((CL, "1_2"),), 400),
    (((CL, "0x12"),), 400),
    (((CL, "\xb2"),), 400),
    (((CL, "9" * 19),), 400),
    (((CL, "12"), (TE, "chunked")), 400),
    (((TE, "chunked"), (CL, "12")), 400),
    (((CL, "12"), (TE, "")), 400),
    (((TE, ""),), 400),
    (((TE, ","),), 400),
    (((TE, "chunked, chunked"),), 400),
    (((TE, "chunked"), (TE, "chunked")), 400),
    (((TE, "chunked"), (TE, "identity")), 400),
    (((TE, "chunked, gzip"),), 400),
    (((TE, "identity"),), 400),
    (((TE, "xchunked"),), 400),
    (((TE, "chunked;q=1"),), 400),
    (((TE, '"chunked"'),), 400),
    (((TE, "gzip, chunked"),), 501),
    (((TE, "gzip"), (TE, "chunked")), 501),
]


@pytest.mark.parametrize(("headers", "status"), REFUSED_FRAMINGS)
def test_a_request_that_two_readers_could_end_differently_is_refused(headers, status):
    with pytest.raises(RequestHeadError) as caught:
        request_framing(RequestHead("POST", "/", "1.1", headers))
    assert caught.value.status == status


def test_http_1_0_has_no_chunks():
    with pytest.raises(RequestHeadError, match=r"HTTP/1\.0"):
        request_framing(RequestHead("POST", "/", "1.0", ((TE, "chunked"),)))


RESPONSE_FRAMINGS = [
    (200, "GET", ((CL, "5"),), Framing("length", 5)),
    (200, "GET", ((CL, "5"), (CL, "5")), Framing("length", 5)),
    (200, "GET", ((CL, "5, 5"),), Framing("length", 5)),
    (200, "GET", ((TE, "chunked"),), Framing("chunked")),
    (200, "GET", ((TE, "chunked"), (CL, "5")), Framing("chunked")),
    (200, "GET", ((TE, "identity"),), Framing("eof")),
    (200, "GET", (), Framing("eof")),
    (200, "HEAD", ((CL, "5"),), Framing("none")),
    (204, "GET", ((CL, "5"),), Framing("none")),
    (304, "GET", ((TE, "chunked"),), Framing("none")),
    (103, "GET", (), Framing("none")),
    (200, "CONNECT", ((CL, "5"),), Framing("none")),
    (407, "CONNECT", ((CL, "5"),), Framing("length", 5)),
]


@pytest.mark.parametrize(("status", "method", "headers", "framing"), RESPONSE_FRAMINGS)
def test_an_answers_body_ends_where_its_head_says(status, method, headers, framing):
    assert response_framing(ResponseHead(status, "", "1.1", headers), method) == framing


@pytest.mark.parametrize(
    "headers",
    [
        ((CL, "5"), (CL, "6")),
        ((CL, "5, 6"),),
        ((CL, "x"),),
        ((TE, "gzip, chunked"),),
        ((TE, "br"),),
    ],
)
def test_an_answer_of_unclear_length_is_refused(headers):
    with pytest.raises(ProtocolError, match="response head"):
        response_framing(ResponseHead(200, "", "1.1", headers), "GET")


KEEPING = [
    ("1.1", (), True),
    ("1.1", (("Connection", "Keep-Alive"),), True),
    ("1.1", (("Connection", "close"),), False),
    ("1.1", (("Connection", "x, Close"),), False),
    ("1.1", (("Connection", "keep-alive"), ("connection", "close")), False),
    ("1.1", ((TE, "chunked"),), True),
    ("1.1", ((TE, "chunked"), (CL, "5")), False),
    ("1.0", (), False),
    ("1.0", (("Connection", "keep-alive"),), True),
    ("1.0", (("Connection", "keep-alive"), (TE, "chunked")), False),
]


@pytest.mark.parametrize(("version", "headers", "kept"), KEEPING)
def test_a_connection_is_kept_when_both_versions_say_so(version, headers, kept):
    assert keep_alive(RequestHead("GET", "/", version, headers)) is kept
    assert keep_alive(ResponseHead(200, "", version, headers)) is kept


# Bodies


def read(framing: Framing, *parts: bytes, limit: int | None = None) -> tuple[bytes, BodyReader]:
    reader = BodyReader(framing, limit)
    return b"".join(reader.feed(part) for part in parts), reader


CHUNKED = Framing("chunked")
BODIES = [
    (Framing("none"), b"", b""),
    (Framing("length", 0), b"", b""),
    (Framing("length", 5), b"hello", b"hello"),
    (CHUNKED, b"0\r\n\r\n", b""),
    (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (
        CHUNKED,
        b"5\r\nhello\r\n1\r\n \r\n00A\r\n0123\r\n6789\r\n0000\r\n\r\n",
        b"hello 0123\r\n6789",
    ),
    (CHUNKED, b"a;x=y;z\r\n0123456789\r\n0;last\r\n\r\n", b"0123456789"),
    (CHUNKED, b'2;x="a b"\r\nhi\r\n0\r\nTrailer: x\r\nOther:\r\n\r\n', b"hi"),
    (CHUNKED, b"0000000000000002\r\nhi\r\n0\r\n\r\n", b"hi"),
]


@pytest.mark.parametrize(("framing", "wire", "body"), BODIES)
def test_a_body_is_read_whole_byte_by_byte_and_with_bytes_after_it(framing, wire, body):
    for after in (b"", b"HTTP/1.1 200 OK\r\n"):
        stream = wire + after
        splits = [[stream], [stream[i : i + 1] for i in range(len(stream))]]
        splits += [[stream[:cut], stream[cut:]] for cut in range(len(stream))]
        for parts in splits:
            data, reader = read(framing, *parts)
            assert (data, reader.done, reader.rest) == (body, True, after)
            reader.eof()


@pytest.mark.parametrize(("framing", "wire", "body"), BODIES)
def test_a_body_cut_anywhere_is_truncated(framing, wire, body):
    for cut in range(len(wire)):
        data, reader = read(framing, wire[:cut])
        assert body.startswith(data)
        assert not reader.done
        with pytest.raises(TruncatedError):
            reader.eof()


def test_a_cut_body_says_how_much_came():
    _, reader = read(Framing("length", 10), b"abc")
    with pytest.raises(TruncatedError, match="3 of 10 bytes"):
        reader.eof()


def test_a_body_without_framing_ends_with_the_connection():
    data, reader = read(Framing("eof"), b"a", b"b")
    assert (data, reader.done) == (b"ab", False)
    reader.eof()
    assert reader.done
    assert (reader.feed(b"x"), reader.rest) == (b"", b"x")


BAD_CHUNKS = [
    b"\r\n",
    b"x\r\n",
    b"-1\r\n",
    b"+5\r\nhello\r\n",
    b"0x5\r\nhello\r\n",
    b"1_0\r\n0123456789abcdef\r\n",
    b" 5\r\nhello\r\n",
    b"5 \r\nhello\r\n",
    b"5 ;x\r\nhello\r\n",
    b"5\nhello\r\n",
    b"5\r\nhello\n",
    b"5\r\nhelloX\r\n",
    b"5\r\nhello\rX",
    b"5\r\nhello0\r\n\r\n",
    b"5;\0\r\nhello\r\n",
    b"5;a\nb\r\nhello\r\n",
    b"5;a\rb\r\nhello\r\n",
    b"5\x0b\r\nhello\r\n",
    b"00000000000000005\r\nhello\r\n",
    b"0" * 17 + b"\r\n\r\n",
    b"\xb2\r\nhi\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\n A: b\r\n\r\n",
    b"0\r\nA: b\0\r\n\r\n",
    b"0\r\nA: b\n\r\n",
    b"0\n\r\n",
    b"0\r\n\n",
    b"5;" + b"x" * (MAX_CHUNK_LINE + 1),
    b"5;" + b"x" * (MAX_CHUNK_LINE + 1) + b"\r\n",
    b"0\r\nA: " + b"x" * MAX_TRAILERS,
    b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS // 6 + 1) + b"\r\n",
]


@pytest.mark.parametrize("wire", BAD_CHUNKS)
def test_a_chunked_body_that_breaks_a_rule_is_refused_however_it_arrives(wire):
    with pytest.raises(ProtocolError, match="chunked body") as caught:
        read(CHUNKED, wire)
    assert caught.value.status == 400
    with pytest.raises(ProtocolError, match="chunked body"):
        read(CHUNKED, *(wire[i : i + 1] for i in range(len(wire))))


def test_a_body_over_the_limit_is_refused_before_its_bytes():
    with pytest.raises(BodyTooLargeError) as caught:
        BodyReader(Framing("length", 11), 10)
    assert caught.value.status == 413
    with pytest.raises(BodyTooLargeError):
        read(CHUNKED, b"6\r\nabcdef\r\n5\r\n", limit=10)
    with pytest.raises(BodyTooLargeError):
        read(CHUNKED, b"6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n", limit=10)
    with pytest.raises(BodyTooLargeError):
        read(CHUNKED, b"ffffffffffffffff\r\n", limit=10)
    with pytest.raises(BodyTooLargeError):
        read(Framing("eof"), b"abcdef", b"ghijk", limit=10)


def test_a_body_of_exactly_the_limit_is_taken():
    assert read(Framing("length", 3), b"abc", limit=3)[0] == b"abc"
    assert read(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n", limit=3)[0] == b"abc"
    assert read(Framing("eof"), b"abc", limit=3)[0] == b"abc"


def test_chunks_are_encoded_and_read_back():
    rng = random.Random(112)
    parts = [rng.randbytes(rng.randint(0, 300)) for _ in range(50)]
    wire = b"".join(encode_chunk(part) for part in parts) + LAST_CHUNK
    size = 1
    while size < len(wire):
        data, reader = read(CHUNKED, *(wire[i : i + size] for i in range(0, len(wire), size)))
        assert (data, reader.done) == (b"".join(parts), True)
        size = size * 3 + 1


def test_no_data_is_no_chunk():
    """A chunk of size zero would end the body."""
    assert encode_chunk(b"") == b""


def test_random_bytes_raise_nothing_but_the_declared_errors():
    rng = random.Random(9112)
    pieces = [b"GET / HTTP/1.1", b"HTTP/1.1 200 OK", b"\r\n", b"\n", b"\r", b"\r\nHost: a\r\n", b": ", b"A: b",
              b"Content-Length: 5", b"Transfer-Encoding: chunked", b" ", b"\0", b"5", b"hello", b"0",
              b"\xff", b";"]  # fmt: skip
    outcomes = set()
    for _ in range(5000):
        wire = rng.choice(pieces[:2]) + b"".join(rng.choices(pieces, k=rng.randint(0, 8)))
        for parse in (parse_request_head, parse_response_head, lambda w: read(CHUNKED, w)):
            try:
                parse(wire + b"\r\n\r\n")
                outcomes.add((parse.__name__, "ok"))
            except ProtocolError as error:
                outcomes.add((parse.__name__, type(error).__name__))
    assert ("parse_request_head", "ok") in outcomes
    assert ("parse_response_head", "ok") in outcomes
    assert ("parse_request_head", "RequestHeadError") in outcomes


def test_later_headers_replace_earlier_ones_of_the_same_name():
    merged = merge((("A", "1"), ("B", "2")), (("a", "3"),))

    assert merged == (("a", "3"), ("B", "2"))


def test_a_body_reader_is_gone_as_soon_as_nobody_holds_it():
    """Two of them in every exchange were most of the garbage collector's work."""
    gc.collect()
    gc.disable()
    try:
        reader = http1.BodyReader(http1.Framing("chunked"))
        reader.feed(b"3\r\nab")
        left = weakref.ref(reader)
        del reader
        assert left() is None
    finally:
        gc.enable()


def test_of_a_repeated_header_the_first_is_found_and_all_are_listed():
    block = b"GET / HTTP/1.1\r\nHost: x\r\nX-Key: 1\r\nx-key: 2\r\n\r\n"
    headers = http1.parse_request_head(block).headers

    for same in (headers, tuple(headers)):
        assert find(same, "X-KEY") == "1"
        assert find_all(same, "x-key") == ["1", "2"]
        assert find_all(same, "host") == ["x"]
        assert (find(same, "none"), find_all(same, "none")) == (None, [])
