"""Which MUST sentences of the specification have no line in tests/requirements yet: prints them.

    python scripts/requirements.py SPEC_DIR            "+" the sentences in neither file, "-" those on no page
    python scripts/requirements.py SPEC_DIR --digests  what belongs in tests/requirements/digests.toml

SPEC_DIR holds the specification's pages as Markdown: `2026-07-28/`, `2025-11-25/`, `extensions/`. The pages are not in
this repository, so the test knows only the number and a digest of each page's sentences.
"""

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

TABLES = Path(__file__).parent.parent / "tests" / "requirements"
BOOKS = {
    "2026-07-28": ("2026-07-28", ["**/*.md"]),
    "tasks": ("extensions", ["tasks-specification.md"]),
    "2025-11-25": (
        "2025-11-25",
        [
            "basic/transports.md",
            "basic/lifecycle.md",
            *(f"basic/utilities/{n}.md" for n in ("ping", "progress", "cancellation")),
        ],
    ),
}
WORDS = re.compile(r"\b(MUST|REQUIRED|SHALL)\b")
FENCE = re.compile(r"^( *)(```|~~~).*?^ *\2 *$", re.MULTILINE | re.DOTALL)
BREAK = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z`\"*(\[<])")
BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.)\s|\s*\||#+ )")


def plain(text: str) -> str:
    """The words alone: no emphasis, no code marks, no link targets, single spaces."""
    text = re.sub(r"^\s*[-*+] ", "", text)
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r"</?[A-Za-z][^>]*>", " ", text)
    text = re.sub(r"(?<![\w`])_([^_`]+)_(?!\w)", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"\*\*|[`\\]", "", text)).strip(" |>")


def sentences(page: str) -> Iterator[tuple[str, str]]:
    """Every heading and sentence of a page that has MUST, REQUIRED or SHALL in it, in order.

    A sentence that ends in a colon takes the list below it along.
    """
    heading = ""
    blocks = BLOCK.split(FENCE.sub("", page))
    for index, block in enumerate(blocks):
        title = re.match(r"#+ +(.*)", block.strip())
        if title:
            heading = plain(title[1])
        text = block.strip().partition("\n")[2] if title else block
        for sentence in BREAK.split(text):
            if WORDS.search(sentence):
                below = items(blocks[index + 1 :], depth(text)) if sentence.rstrip().endswith(":") else []
                yield heading, " ".join([plain(sentence), *below])


def depth(block: str) -> int:
    """How far a list item is indented; -1 where the block is none."""
    item = re.match(r"\n*( *)(?:[-*+]|\d+\.)\s", block)
    return len(item[1]) if item else -1


def items(blocks: list[str], outer: int) -> Iterator[str]:
    """The list items at the head of `blocks` that are indented further than `outer`."""
    for block in filter(str.strip, blocks):
        if depth(block) <= outer:
            return
        yield plain(block) + ";"


def pages(spec: Path, book: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Every page of a book with such sentences: its name without `.md`, and the sentences."""
    folder, patterns = BOOKS[book]
    for path in sorted({path for pattern in patterns for path in (spec / folder).glob(pattern)}):
        found = list(dict.fromkeys(sentences(path.read_text(encoding="utf-8"))))
        if found:
            yield path.relative_to(spec / folder).with_suffix("").as_posix(), found


def digest(found: Iterable[tuple[str, str]]) -> str:
    """Sixteen hexadecimal digits that change with any heading or sentence, whatever the order."""
    return hashlib.sha256("\n".join(sorted("\t".join(one) for one in found)).encode()).hexdigest()[:16]


def section(page: str, heading: str) -> str:
    """How the tables name a place."""
    return f"{page}, {heading}" if heading else page


def known() -> tuple[set[tuple[str, str, str]], list[tuple[str, str]]]:
    """Every sentence (book, section, text) that stands in a file, and every page (book, pattern) left out whole."""
    lines = {
        (book, line["section"], line["text"])
        for book in BOOKS
        for line in tomllib.loads((TABLES / f"{book}.toml").read_text(encoding="utf-8"))["requirement"]
    }
    others = tomllib.loads((TABLES / "not-for-servers.toml").read_text(encoding="utf-8"))
    lines.update((one["book"], one["section"], one["text"]) for one in others["sentence"])
    return lines, [(one["book"], one["page"]) for one in others["page"]]


def left_out(book: str, page: str, patterns: list[tuple[str, str]]) -> bool:
    """Whether the page is left out as a whole."""
    return any(book == where and fnmatchcase(page, pattern) for where, pattern in patterns)


def show_missing(spec: Path) -> int:
    """Print what the pages say and no file has, then what a file has and no page says; how many there were."""
    lines, patterns = known()
    said = {
        (book, section(page, heading), sentence)
        for book in BOOKS
        for page, found in pages(spec, book)
        if not left_out(book, page, patterns)
        for heading, sentence in found
    }
    for mark, differing in (("+", said - lines), ("-", lines - said)):
        for one in sorted(differing):
            print(mark, " | ".join(one))
    return len(said ^ lines)


def show_digests(spec: Path) -> None:
    """Print `digests.toml`: how many sentences each page has, and their digest."""
    print("# The MUST sentences of each page of the specification: how many, and their digest.")
    print("# Made by `scripts/requirements.py SPEC_DIR --digests`.")
    patterns = known()[1]
    for book in BOOKS:
        print(f'\n["{book}"]')
        for page, found in pages(spec, book):
            if not left_out(book, page, patterns):
                print(f'"{page}" = {{ sentences = {len(found)}, digest = "{digest(found)}" }}')


if __name__ == "__main__":
    if sys.argv[2:] == ["--digests"]:
        show_digests(Path(sys.argv[1]))
    else:
        sys.exit(show_missing(Path(sys.argv[1])) > 0)
