"""The program of a reader's process: from the bytes of a page to its title and text.

Main content is found by trafilatura; a page that it finds little in (a list of links, an application) is converted as
a whole by markdownify. Scripts, styles and what is not shown are taken out first. Nothing here fetches anything.
"""

import codecs
import logging
import re
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import lxml.html
import msgspec
import trafilatura
from lxml.html import HtmlElement
from lxml_html_clean import Cleaner
from markdownify import markdownify
from protego import Protego

try:
    import resource
except ImportError:  # Windows, where the time limit alone counts
    resource = None  # type: ignore[assignment]

MAX_MEMORY = 1024 * 1024 * 1024
_LITTLE = 200
"""An extract of fewer characters is held against the whole page."""

_LENGTH = struct.Struct(">I")
_META = re.compile(rb"<meta[^>]{0,200}?charset\s{0,8}=\s{0,8}[\"']?\s{0,8}([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHARSETS = re.compile(
    r"utf-?8|utf-?16(?:-?[lb]e)?|us-ascii|ascii|iso-?8859-(?:[1-9]|1[0-6])|latin-?[1-9]|windows-(?:125[0-8]|874)"
    r"|cp125[0-8]|koi8-[ru]|gb2312|gbk|gb18030|big5(?:-hkscs)?|euc-(?:jp|kr)|shift[_-]jis|iso-2022-(?:jp|kr)|macintosh"
)
"""The charsets that are taken at their word; several names that Python knows are no charsets."""

_LATIN = frozenset({"us-ascii", "ascii", "iso-8859-1", "iso8859-1", "latin1", "latin-1"})
_HIDDEN = "//*[@hidden or contains(translate(@style, ' ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), "
_HIDDEN += "'display:none')]"


def page(body: bytes, charset: str | None, url: str, form: str) -> tuple[str, str]:
    """Title and text; `form` is markdown or text. An empty page has an empty text."""
    html = decoded(body, charset).replace("\x00", "")
    if not html.strip():
        return "", ""
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    tree = lxml.html.document_fromstring(html.encode("utf-8", "replace"), parser=parser)
    title = " ".join((tree.findtext(".//title") or "").split())[:300]
    for hidden in tree.xpath(_HIDDEN):
        hidden.drop_tree()
    clean = Cleaner(scripts=True, javascript=True, style=True, forms=True, embedded=True, page_structure=False)
    shown = clean.clean_html(tree)
    if _is_list(shown):
        return title, _whole(shown, url, form)
    main = (
        trafilatura.extract(
            lxml.html.tostring(tree, encoding="unicode"),
            url=url,
            output_format="markdown" if form == "markdown" else "txt",
            include_comments=False,
            include_links=form == "markdown",
            include_formatting=form == "markdown",
            favor_recall=True,
        )
        or ""
    )
    if len(main) >= _LITTLE:
        return title, main
    whole = _whole(shown, url, form)
    return title, whole if len(whole) > _LITTLE else main or whole


def _is_list(shown: HtmlElement) -> bool:
    """Whether most of what a page shows is links: then they are its content."""
    linked = sum(len(link.text_content()) for link in shown.iter("a"))
    return 2 * linked > len(shown.text_content())


def _whole(tree: HtmlElement, url: str, form: str) -> str:
    """All that the page shows, from a clean tree."""
    body = tree.find("body")
    shown = body if body is not None else tree
    shown.make_links_absolute(url, resolve_base_href=False, handle_failures="ignore")
    text = markdownify(
        lxml.html.tostring(shown, encoding="unicode"),
        heading_style="ATX",
        convert=None if form == "markdown" else ["p", "br", "li", "ul", "ol", "tr", "td", "th", "table"],
    )
    return re.sub(r"\n[ \t\n]{2,}", "\n\n", text).strip()


def decoded(body: bytes, charset: str | None) -> str:
    """The text of a body, in the charset of its mark, its header or its first bytes, else UTF-8 or Windows-1252."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    named = _META.search(body[:4096])
    for said in (charset, named[1].decode("ascii") if named else None):
        name = (said or "").strip("\"' ").lower()
        if _CHARSETS.fullmatch(name) and not (name in _LATIN or name.startswith("utf")):
            return body.decode("mac-roman" if name == "macintosh" else name, "replace")
        if name.startswith("utf-16") and _CHARSETS.fullmatch(name) and charset is said:
            return body.decode(name, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        latin = (charset or "").lower() in _LATIN or (not charset and wrong.start < len(body) - 4)
        return body.decode("cp1252" if latin else "utf-8", "replace")


def allows(rules: str, url: str, agent: str) -> bool:
    """Whether a robots.txt lets an agent fetch a URL."""
    return bool(Protego.parse(rules).can_fetch(url, agent))


QUESTIONS: dict[str, Callable[..., Any]] = {"page": page, "decoded": decoded, "allows": allows}


def main(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer questions until there are no more."""
    logging.disable(logging.CRITICAL)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    while len(head := asked.read(_LENGTH.size)) == _LENGTH.size:
        name, *arguments = msgspec.msgpack.decode(asked.read(_LENGTH.unpack(head)[0]))
        try:
            answer = (True, QUESTIONS[name](*arguments))
            data = msgspec.msgpack.encode(answer)
        except Exception:
            data = msgspec.msgpack.encode((False, None))
        answers.write(_LENGTH.pack(len(data)) + data)
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
