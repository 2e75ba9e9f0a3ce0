"""A short text that a regular expression matches, for JSON Schema's ``pattern``.

Reads the usual grammar: literals, classes, ``\\d \\w \\s``, groups, alternatives (the first is
taken) and quantifiers (the fewest that are allowed). Look-arounds and back-references are taken for
nothing. The length of what comes out is bounded whatever the pattern says.
"""

from __future__ import annotations

__all__ = ["sample_pattern"]

_MOST = 2_000
_MAX_GROUPS = 100
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": " ", "S": "a"}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_CANDIDATES = "a0A-_ .:/#x1Z" + "".join(map(chr, range(33, 127)))


def sample_pattern(pattern: str, least: int = 0) -> str:
    """Return a text that ``pattern`` matches, with ``least`` characters or more if it can grow."""
    text = _Reader(pattern, 0).alternatives(0)
    # Where there is an open end (+, *, {2,}), further turns of it give the missing length.
    return _Reader(pattern, least - len(text)).alternatives(0) if len(text) < least else text


class _Reader:
    """Recursive descent over the pattern. ``missing`` is the length still wanted of open ends."""

    def __init__(self, pattern: str, missing: int) -> None:
        self.pattern = pattern
        self.at = 0
        self.missing = min(missing, _MOST)

    def alternatives(self, depth: int) -> str:
        first = self.sequence(depth)
        while self.peek() == "|":
            self.at += 1
            missing, self.missing = self.missing, 0
            self.sequence(depth)
            self.missing = missing
        return first

    def sequence(self, depth: int) -> str:
        out: list[str] = []
        size = 0
        while (char := self.peek()) and char not in "|)":
            item = self.atom(depth)
            if self.peek() in ("*", "+", "?", "{"):
                item = self.repeated(item)
            size += len(item)
            if size <= _MOST:
                out.append(item)
        return "".join(out)

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def atom(self, depth: int) -> str:
        match self.take():
            case "^" | "$":
                return ""
            case ".":
                return "a"
            case "\\":
                return self.escape()
            case "[":
                return self.char_class()
            case "(":
                return self.group(depth)
            case char:
                return char

    def escape(self) -> str:
        char = self.take()
        if char in "bB":
            return ""
        if char in ("x", "u"):
            return self.code_point(2 if char == "x" else 4)
        return _CLASSES.get(char) or _CONTROLS.get(char) or char

    def code_point(self, digits: int) -> str:
        text = self.pattern[self.at : self.at + digits]
        try:
            point = chr(int(text, 16))
        except ValueError:
            return "a"
        self.at += digits
        return point

    def group(self, depth: int) -> str:
        if depth >= _MAX_GROUPS:
            self.at = len(self.pattern)
            return ""
        seen = self._group_kind()
        text = self.alternatives(depth + 1)
        self.at += 1
        return text if seen else ""

    def _group_kind(self) -> bool:
        """Skip what follows ``(?``; False for look-arounds, which match no characters."""
        if self.peek() != "?":
            return True
        self.at += 1
        match self.take():
            case ":":
                return True
            case "P" | "<" as char:
                self.at += char == "P"
                if self.peek() in ("=", "!"):
                    self.at += 1
                    return False
                end = self.pattern.find(">", self.at)
                self.at = end + 1 if end >= 0 else len(self.pattern)
                return True
            case _:
                return False

    def char_class(self) -> str:
        """Return one character of ``[...]``: the first named, or for ``[^...]`` one not named."""
        negated = self.peek() == "^"
        self.at += negated
        named: list[str] = []
        spans: list[tuple[str, str]] = []
        while (char := self.take()) and (char != "]" or not (named or spans)):
            if char == "\\":
                escaped = self.take()
                named += _class_members(escaped)
            elif self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                spans.append((char, self.take()))
            else:
                named.append(char)
        if not negated:
            return spans[0][0] if spans else (named or ["a"])[0]
        return next(
            (c for c in _CANDIDATES if c not in named and not any(a <= c <= b for a, b in spans)),
            "é",
        )

    def repeated(self, item: str) -> str:
        least, most = self.quantifier()
        if self.peek() in ("?", "+"):  # lazy, possessive
            self.at += 1
        count = least
        if item and self.missing > 0:
            count += min(-(-self.missing // len(item)), most - least)
            self.missing -= (count - least) * len(item)
        return item * min(count, _MOST // max(len(item), 1) + 1)

    def quantifier(self) -> tuple[int, int]:
        """Take a quantifier; return its bounds."""
        char = self.take()
        if char != "{":
            return (1 if char == "+" else 0), (1 if char == "?" else _MOST)
        end = self.pattern.find("}", self.at)
        low, comma, high = self.pattern[self.at : max(end, self.at)].partition(",")
        if not low.isdecimal():
            return 1, 1  # a brace that stands for itself
        self.at = end + 1
        least = min(int(low[:6]), _MOST)
        most = least if not comma else int(high[:6]) if high.isdecimal() else _MOST
        return least, max(least, most)


def _class_members(escaped: str) -> list[str]:
    match escaped:
        case "d":
            return list("0123456789")
        case "w":
            return list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
        case "s":
            return list(" \t\n\r\f\v")
        case "D" | "S":
            return ["a"]
        case "W":
            return [" "]
        case _:
            return [_CONTROLS.get(escaped) or escaped]
