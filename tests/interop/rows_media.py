"""Rows: images and documents that a user sends."""

from __future__ import annotations

from tests.interop.asks import Document, Image, user
from tests.interop.cell import Cell
from tests.interop.table import Group

GROUP = Group("Images and documents")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJcOkw7zDtsOfCjEgMCBvYmoKPDw+PgplbmRvYmoKdHJhaWxlcgo8PD4+CiUlRU9GCg=="
URL = "https://a.example/b.png"


@GROUP.row("an image in the body")
def image(cell: Cell) -> None:
    cell.ask(turns=(user("What is it?", Image(PNG)),))

    assert cell.heard.turns == [("user", [("text", "What is it?"), ("image", "image/png", PNG)])]


@GROUP.row("an image by its address")
def image_address(cell: Cell) -> None:
    cell.ask(turns=(user("What is it?", Image(url=URL)),))

    assert cell.heard.turns == [("user", [("text", "What is it?"), ("image", URL)])]


@GROUP.row("several images between texts")
def images(cell: Cell) -> None:
    cell.ask(turns=(user("Before", Image(PNG), "and after", Image(url=URL), "differ how?"),))

    kinds = [item[0] for item in cell.heard.turns[0][1]]
    assert kinds == ["text", "image", "text", "image", "text"]


@GROUP.row("a document")
def document(cell: Cell) -> None:
    cell.ask(turns=(user("Sum it up.", Document(PDF)),))

    said = ("document", "application/pdf", PDF, "paper.pdf")
    assert cell.heard.turns == [("user", [("text", "Sum it up."), said])]
