"""Pictures of runs in a page: embedded and scaled down, or linked."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from os.path import relpath
from pathlib import Path

from PIL import Image

__all__ = ["Pictures"]

WIDTH = 900  # pixels of a picture inside the page
MOST = 25_000_000  # bytes of pictures inside a page; the others are linked
LARGEST = 2_000_000  # bytes of an animation inside a page


class Pictures:
    """Pictures in run folders, as HTML.

    Args:
        start: Directory of the page: links are relative to it.
        embed: Embed pictures in the page, until their total size is too large.
    """

    def __init__(self, start: Path, embed: bool) -> None:
        self._start, self._left = start.resolve(), MOST if embed else 0

    def html(self, directory: Path) -> str:
        """All pictures of a run; empty if there are none."""
        places = [*directory.glob("*.[pg][ni][gf]"), *directory.glob("figures/*.[pg][ni][gf]")]
        return "".join(self._figure(place) for place in sorted(places))

    def _figure(self, place: Path) -> str:
        link = escape(relpath(place.resolve(), self._start))
        source = link
        content = smaller(place) if self._left else None
        if content is not None and len(content) <= self._left:
            self._left -= len(content)
            kind = place.suffix.removeprefix(".")
            source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        name = escape(place.stem)
        return (
            f'<figure><a href="{link}"><img loading="lazy" alt="{name}" src="{source}"></a>'
            f"<figcaption>{name}</figcaption></figure>"
        )


def smaller(place: Path) -> bytes | None:
    """A picture scaled to at most `WIDTH` pixels; None for a large animation or a damaged file."""
    try:
        if place.suffix == ".gif":
            return place.read_bytes() if place.stat().st_size <= LARGEST else None
        with Image.open(place) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for a damaged file
        return None
    small.thumbnail((WIDTH, 4 * WIDTH))
    buffer = BytesIO()
    small.quantize(128).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
