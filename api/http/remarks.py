"""What people write with their requests: kept beside the accounts, apart from events, which are for ever."""

from __future__ import annotations

from uuid import UUID

from api.http.requests import ApiRequest
from commands.accounts import Remark


async def keep_words(request: ApiRequest, command_id: UUID, about: UUID, words: str) -> None:
    """Keep what was written with a command about an account's booking or review, if anything was.

    It may name the person behind the account, or whoever wrote it: so it goes with either. Where there is no such
    account (it has gone, or the booking was imported) there is nobody to name but the writer.
    """
    if not words.strip():
        return
    accounts, writer = request.platform.accounts, request.principal.account_id
    if not await accounts.keep_remark(Remark(command_id, about, words, writer)):
        await accounts.keep_remark(Remark(command_id, writer, words, writer))
