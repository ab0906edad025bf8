"""Forms as they come in. Each carries the visitor's form token, which no other site can read (double submit)."""

from __future__ import annotations

import hmac

from api.web.visitors import PageRequest

_FORM_TYPE = "application/x-www-form-urlencoded"

TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field, no secret


class FormRefused(Exception):
    """The form did not come from a page of ours, or from one that was opened before the browser forgot its cookie."""


async def submitted(request: PageRequest) -> dict[str, str]:
    """The texts of the form, stripped, except for passwords. Raises FormRefused, also for what no browser sends."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _FORM_TYPE or not (await request.body()).isascii():
        raise FormRefused
    form = await request.form()
    fields = {
        name: value if name == "password" else value.strip() for name, value in form.items() if isinstance(value, str)
    }
    token = fields.pop(TOKEN_FIELD, "")
    if not hmac.compare_digest(token.encode(), request.visitor.form_token.encode()):
        raise FormRefused
    return fields
