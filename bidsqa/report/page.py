# SPDX-License-Identifier: Apache-2.0
"""What both pages share: the template environment, the security policy, pictures and data inside the page."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SYMBOLS = {"pass": "✓", "review": "?", "fail": "✕"}
WORDS = {"pass": "Pass", "review": "Review", "fail": "Fail"}
_KINDS = {b"RIFF": "image/webp", b"\x89PNG": "image/png"}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates; every value is escaped unless it was made as markup here."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("bidsqa.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=8)
def static(name: str) -> str:
    """A style sheet or script of the package as text."""
    return resources.files("bidsqa.report").joinpath("static", name).read_text(encoding="utf-8")


def render(
    template: str,
    styles: str,
    script: str = "",
    *,
    scripts: Sequence[str] = (),
    inline_styles: bool = False,
    pictures_beside: bool = False,
    **values: Any,
) -> str:
    """A whole page from a template.

    The page's security policy lets it load nothing from outside and run nothing but this style sheet and the scripts,
    which it names by their checksums.

    Parameters
    ----------
    template, styles : str
    script : str
        Run at the end of the page.
    scripts : sequence of str
        Further ones, run in this order after it.
    inline_styles : bool
        Let scripts make style sheets; for pages with a library of plots, which brings its styles within its script.
    pictures_beside : bool
        Let the page show pictures from the folder that it lies in, opened as a file or served.
    **values
        For the template.
    """
    from markupsafe import Markup

    run = [text for text in (script, *scripts) if text]
    allowed = " ".join(f"'{_digest(text)}'" for text in run)
    policy = [
        "default-src 'none'",
        "img-src data: 'self'" if pictures_beside else "img-src data:",
        "style-src 'unsafe-inline'" if inline_styles else f"style-src '{_digest(styles)}'",
        f"script-src {allowed}" if run else "script-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return (
        environment()
        .get_template(template)
        .render(
            policy="; ".join(policy),
            styles=Markup(styles),
            scripts=[Markup(text) for text in run],
            symbols=SYMBOLS,
            words=WORDS,
            **values,
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def data_block(value: Any) -> Markup:
    """JSON for a data block in the page; no text in it can end the block."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def picture(content: bytes) -> dict[str, Any]:
    """Source, width and height of a picture for an ``img`` element, and the description that it carries.

    Raises
    ------
    ValueError
        When these are not the bytes of a picture that this package draws.
    """
    from PIL import ExifTags, Image

    kind = _KINDS.get(content[:4])
    if kind is None:
        raise ValueError("neither WebP nor PNG")
    try:
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            # asking a PNG would decode it
            notes = opened.getexif() if opened.format == "WEBP" else {}
            description = str(notes.get(ExifTags.Base.ImageDescription, ""))
    except Exception as error:  # Pillow's readers raise what they like, also for a picture that claims to be huge
        raise ValueError(f"damaged picture: {error}") from error
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {"src": source, "width": width, "height": height, "description": description}
