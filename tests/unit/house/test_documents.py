"""Links between the documents lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[3]
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s*<?([^>\s]+)>?", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def _documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # a source archive has no history; what its folders hold is ours all the same
    names = listed.stdout.split() or [
        *map(str, ROOT.glob("*.md")),
        *map(str, (ROOT / "docs").rglob("*.md")),
    ]
    return [ROOT / name for name in names]


def _links(text: str) -> list[str]:
    prose = _CODE.sub("", text)
    links = _INLINE.findall(prose) + _REFERENCE.findall(prose)
    return [link for link in links if not _ELSEWHERE.match(link)]


def _anchors(text: str) -> set[str]:
    """The names of the headings, as those who show Markdown make them."""
    prose = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(prose))
    return {title.replace(" ", "-") for title in kept}


def _leads_somewhere(document: Path, link: str) -> bool:
    name, _, anchor = unquote(link).partition("#")
    target = document.parent / name if name else document
    if not target.exists():
        return False
    if not anchor or target.suffix != ".md":
        return True
    return anchor in _anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = _links(document.read_text(encoding="utf-8"))
    assert [link for link in links if not _leads_somewhere(document, link)] == []


def test_links_are_found_in_prose_and_not_in_code() -> None:
    text = "[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n[g]: h.md\n[i](https://example.org)\n"
    assert _links(text) == ["b.md", "h.md"]
