"""Runs what README.md and docs/ show, so that a page cannot promise what the programs do not do.

``scripts/check_docs [--update] [--need NAME]... [PAGE]...`` checks the fenced blocks of each page
(doc_blocks.py says how), that relative links lead to files and headings that exist, that rule
numbers in docs/rules.md are in order and given once, and that the files which rules.md names are
there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.doc_blocks import FENCE, Block, DocsError, help_text, read_blocks, run_blocks

LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *#*$")
RULE = re.compile(r"^\*\*R(?P<number>\d+)\b")
NAMED_FILE = re.compile(r"`(?P<path>(?:lmtools|tests|scripts|conformance|docs)/[\w./-]+)`")


def check_help(root: Path, block: Block, update: bool) -> None:
    expected = help_text(root, block.mark[1])
    if block.text == expected:
        return
    if not update:
        raise block.error(f"not what {block.mark[1]} -h prints; scripts/check_docs --update")
    page = block.page.read_text(encoding="utf-8").splitlines(keepends=True)
    page[block.line - 1 : block.line - 1 + block.text.count("\n")] = [expected]
    block.page.write_text("".join(page), encoding="utf-8")


# --- links and rules ------------------------------------------------------------------------------


def check_links(root: Path, page: Path) -> Iterator[str]:
    for number, line in _prose(page):
        for found in LINK.finditer(re.sub(r"`[^`]*`", "``", line)):
            target, _, anchor = found["target"].partition("#")
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            file = (page.parent / target).resolve() if target else page
            if not file.exists() or not file.is_relative_to(root.resolve()):
                yield f"{page}:{number}: the link {found['target']} leads to no file here"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{page}:{number}: {file.name} has no heading #{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the names that a forge gives the page's headings."""
    titles = (found["title"] for _, line in _prose(page) if (found := HEADING.match(line)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _prose(page: Path) -> Iterator[tuple[int, str]]:
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        found = FENCE.match(line)
        if fence:
            fence = "" if line.strip() == fence else fence
        elif found:
            fence = found["fence"]
        else:
            yield number, line


def check_rules(root: Path, page: Path) -> Iterator[str]:
    """Rule numbers are the citations of tests and comments: in order, each once, never reused."""
    last = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if found := RULE.match(line):
            if int(found["number"]) <= last:
                yield f"{page}:{number}: R{found['number']} comes after R{last}"
            last = int(found["number"])
        for named in NAMED_FILE.finditer(line):
            if not (root / named["path"]).exists():
                yield f"{page}:{number}: names {named['path']}, which is not there"


# --- the whole ------------------------------------------------------------------------------------


def pages(root: Path) -> list[Path]:
    return [
        page for page in [root / "README.md", *sorted(root.glob("docs/**/*.md"))] if page.exists()
    ]


def check_page(
    root: Path, page: Path, needed: Sequence[str], update: bool
) -> tuple[int, list[str]]:
    """Return how many blocks were checked, and what is wrong or worth saying; raises DocsError."""
    blocks = read_blocks(page)
    for block in reversed(blocks):  # the last first: an update moves what is below it
        if block.mark[:1] == ("help",):
            check_help(root, block, update)
    problems = list(check_links(root, page))
    if page.name == "rules.md":
        problems += check_rules(root, page)
    if problems:
        raise DocsError("\n".join(problems))
    return len(blocks), run_blocks(root, blocks, needed)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="check_docs", description="Run the examples in the docs.")
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--need", action="append", default=[], metavar="NAME")
    parser.add_argument("--update", action="store_true", help="write the programs' help texts")
    options = parser.parse_args(arguments)
    chosen = options.pages or pages(options.root)
    checked = failed = 0
    for page in chosen:
        try:
            count, notes = check_page(options.root, page, options.need, options.update)
        except DocsError as error:
            print(error, file=sys.stderr)
            failed += 1
        else:
            checked += count
            print("".join(f"{note}\n" for note in notes), end="")
    print(f"check_docs: {len(chosen)} pages, {checked} blocks checked, {failed} pages with errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
