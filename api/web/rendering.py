"""Templates, and the pages that they make."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.enums import MediaType
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template

from api.web import words
from api.web.covers import cover
from api.web.visitors import PageRequest, visitor_of

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

Page = Response[Any]


def engine() -> JinjaTemplateEngine:
    """Templates that escape everything and refuse what they were not given."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= words.FILTERS
    environment.globals |= {"cover": cover, "static": static_address}
    return JinjaTemplateEngine.from_environment(environment)


@cache
def static_files() -> dict[str, bytes]:
    """What is served beside the pages, by name."""
    return {file.name: file.read_bytes() for file in STATIC.iterdir()}


@cache
def static_address(name: str) -> str:
    """Where a static file is found; the address changes with the content, so browsers may keep it for ever."""
    digest = hashlib.blake2b(static_files()[name], digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def page(request: PageRequest, template: str, status: int = 200, /, **context: Any) -> Page:
    """The page that ``template`` makes for this visitor."""
    visitor = visitor_of(request.scope)
    about = {"signed_in": visitor.signed_in, "form_token": visitor.form_token, "path": request.scope["path"]}
    return Template(template, context=about | context, status_code=status, media_type=MediaType.HTML)


def see(address: str) -> Page:
    """Go on to another page with GET, so that a form is never sent twice by reloading."""
    return Redirect(address, status_code=303)
