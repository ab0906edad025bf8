"""What people write with their requests: kept beside the accounts, apart from events, which are for ever."""

from __future__ import annotations

from uuid import UUID

from api.http.forgetting import account_state
from api.http.requests import ApiRequest
from commands.accounts import Remark


async def keep_words(request: ApiRequest, command_id: UUID, about: UUID, words: str) -> None:
    """Keep what was written with a command about an account's booking or review, if anything was.

    It may name the person behind the account, whoever wrote it: so it goes with that account. Where that has gone
    already there is nobody to name, and it is kept with the account of whoever writes.
    """
    if not words.strip():
        return
    gone = (await account_state(request, about)).is_forgotten
    keeper = request.principal.account_id if gone else about
    await request.platform.accounts.keep_remark(Remark(command_id, keeper, words))
