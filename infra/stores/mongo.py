"""Documents in MongoDB: one collection per build, ``{_id: key, folded, positions, body}``.

Which build a name means is kept in a collection of its own, one document per name, so that pointing is one atomic
replacement. Another has one document per prepared build: a collection that is missing would be made anew by the first
write, so that a store which was emptied would silently be filled with halves of documents. Only what MongoDB and
FerretDB have in common is used: no transactions, no aggregation, no rename.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, ConnectionFailure, ExecutionTimeout

from infra.stores.cursors import ANYTHING, Scalar, seal, unseal
from projections.ports import BuildMissing, Document, FoldedDocument, Page, StoreUnavailable, Where

T = TypeVar("T")
_POINTERS, _PREPARED = "pointers", "builds"
_DUPLICATE_KEY = 11000
_CONNECT_MS = 2_000
_ANSWER_MS = 10_000
_INSERTS = 1_000
_REPLACEMENTS = 1_000
# FerretDB 1.24 keeps one of its own database connections for each update of a command until the command ends: a few
# large commands at once take all of them and wait for each other for ever.
_REPLACEMENTS_ON_FERRETDB = 4


class MongoDocuments:
    """The DocumentStore on MongoDB (``url`` as the driver takes it), all in one ``database``."""

    def __init__(self, url: str, database: str = "nightledger") -> None:
        self._url = url
        self._database = database
        self._client: Any = None
        self._replacements = 0

    async def open(self) -> None:
        """Make the client; connections are made when they are needed."""
        self._client = AsyncIOMotorClient(
            self._url,
            serverSelectionTimeoutMS=_CONNECT_MS,
            connectTimeoutMS=_CONNECT_MS,
            socketTimeoutMS=_ANSWER_MS,
            # What is acknowledged outlives a kill of the server and the election of another primary: a checkpoint that
            # stands behind it is never set back.
            w="majority",
            journal=True,
        )

    async def close(self) -> None:
        """Close all connections, in a thread because the driver says goodbye to the server and waits."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
            self._client = None

    async def ping(self) -> None:
        """Raises StoreUnavailable if the server does not answer."""
        with _answering():
            await self._client.admin.command("ping")

    async def prepare(self, build: str) -> None:
        """See FoldStore."""
        with _answering():
            await self._collection(_PREPARED).replace_one({"_id": build}, {"_id": build}, upsert=True)

    async def point(self, name: str, build: str) -> None:
        """See Builds."""
        with _answering():
            await self._collection(_POINTERS).replace_one({"_id": name}, {"_id": name, "build": build}, upsert=True)

    async def pointed(self, name: str) -> str | None:
        """See Builds."""
        with _answering():
            pointer = await self._collection(_POINTERS).find_one({"_id": name})
        return None if pointer is None else str(pointer["build"])

    async def drop(self, build: str) -> None:
        """See Builds."""
        with _answering():
            await self._collection(_PREPARED).delete_one({"_id": build})
            await self._collection(_POINTERS).delete_many({"build": build})
            await self._collection(build).drop()

    async def load(self, build: str, keys: Sequence[str]) -> Mapping[str, FoldedDocument]:
        """See FoldStore."""
        with _answering():
            await self._check_prepared(build)
            found = await self._collection(build).find({"_id": {"$in": list(keys)}}).batch_size(len(keys)).to_list(None)
        return {one["_id"]: FoldedDocument(one["_id"], one["body"], one["folded"], one["positions"]) for one in found}

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        """See FoldStore.

        The guard of a replacement is in its filter. Whether each one matched is not told, so when some did not, what
        is stored is compared; what another writer has overtaken meanwhile counts as refused, which is harmless.
        """
        with _answering():
            await self._check_prepared(build)
            if filling:  # what is there already is found out by inserting it
                there = await self._insert(build, documents)
                documents = [document for document in documents if document.key in there]
            if not documents:
                return frozenset()
            known = await self._folded([document.key for document in documents], build)
            new = [document for document in documents if document.key not in known]
            higher = [one for one in documents if one.key in known and one.folded > known[one.key]]
            refused = {one.key for one in documents if one.key in known and one.folded <= known[one.key]}
            refused |= await self._insert(build, new)
            at_once = await self._replacements_at_once()
            for first in range(0, len(higher), at_once):
                refused |= await self._replace(build, higher[first : first + at_once])
        return frozenset(refused)

    async def filled(self, build: str, indexes: Sequence[tuple[str, ...]] = ()) -> None:
        """See FoldStore; each index ends with the key, which is what lists are ordered by last."""
        with _answering():
            await self._check_prepared(build)
            for fields in indexes:
                await self._collection(build).create_index([*((f"body.{field}", 1) for field in fields), ("_id", 1)])

    @property
    def fill_size(self) -> int:
        """See FoldStore. Large, so that hardly a document is replaced: FerretDB takes 10 ms for each that is."""
        return 20_000

    async def get(self, name: str, key: str) -> Document | None:
        """See DocumentStore."""
        found = await self._read(name, lambda collection: collection.find_one({"_id": key}))
        body: Document | None = found["body"] if found else None
        return body

    async def find(
        self, name: str, where: Sequence[Where], *, order_by: str, descending: bool, limit: int, cursor: str | None
    ) -> Page:
        """See DocumentStore; documents without ``order_by`` come first, or last if descending."""
        scope = f"documents {name} {order_by} {descending}"
        field, direction = f"body.{order_by}", -1 if descending else 1
        tests = _tests(where)
        if cursor is not None:
            tests.append(_beyond(field, unseal(scope, cursor, (ANYTHING, str)), descending=descending))

        def page(collection: Any) -> Awaitable[list[Document]]:
            found = collection.find({"$and": tests}, {"body": 1}).sort([(field, direction), ("_id", direction)])
            # A negative limit is one batch, after which the server keeps no cursor (and nothing that a cursor holds).
            rows: Awaitable[list[Document]] = found.limit(-(limit + 1)).to_list(limit + 1)
            return rows

        rows = await self._read(name, page) or []
        shown = rows[:limit]
        more = len(rows) > limit
        next_cursor = seal(scope, [shown[-1]["body"].get(order_by), shown[-1]["_id"]]) if more else None
        return Page([row["body"] for row in shown], next_cursor)

    async def count(self, name: str, where: Sequence[Where]) -> int:
        """See DocumentStore."""
        return await self._read(name, lambda collection: collection.count_documents({"$and": _tests(where)})) or 0

    def _collection(self, name: str) -> Any:
        return self._client[self._database][name]

    async def _read(self, name: str, query: Callable[[Any], Awaitable[T]]) -> T | None:
        """The answer of the live build; None if there is none.

        A build that is swapped away and dropped between the two steps answers nothing: then its successor is asked.
        """
        build = await self.pointed(name)
        while build is not None:
            with _answering():
                answer = await query(self._collection(build))
            live = build if answer else await self.pointed(name)
            if live == build:
                return answer
            build = live
        return None

    async def _check_prepared(self, build: str) -> None:
        """Raises BuildMissing."""
        if await self._collection(_PREPARED).find_one({"_id": build}) is None:
            raise BuildMissing(build)

    async def _folded(self, keys: Sequence[str], build: str) -> dict[str, int]:
        found = self._collection(build).find({"_id": {"$in": list(keys)}}, {"folded": 1}).batch_size(len(keys))
        return {one["_id"]: one["folded"] for one in await found.to_list(None)}

    async def _insert(self, build: str, documents: Sequence[FoldedDocument]) -> set[str]:
        """Insert; the keys that another writer inserted first."""
        if not documents:
            return set()
        there = set[str]()
        for first in range(0, len(documents), _INSERTS):
            part = documents[first : first + _INSERTS]
            try:
                await self._collection(build).insert_many([stored(one) for one in part], ordered=False)
            except BulkWriteError as error:
                if error.details["writeConcernErrors"]:
                    raise  # they may be gone again
                failures = error.details["writeErrors"]
                if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
                    raise
                there |= {part[failure["index"]].key for failure in failures}
        return there

    async def _replacements_at_once(self) -> int:
        if not self._replacements:
            server = await self._client.admin.command("buildInfo")
            self._replacements = _REPLACEMENTS_ON_FERRETDB if "ferretdbVersion" in server else _REPLACEMENTS
        return self._replacements

    async def _replace(self, build: str, documents: Sequence[FoldedDocument]) -> set[str]:
        """Replace what is lower; the keys that another writer has overtaken."""
        result = await self._collection(build).bulk_write(
            [ReplaceOne({"_id": one.key, "folded": {"$lt": one.folded}}, stored(one)) for one in documents],
            ordered=False,
        )
        return await self._overtaken(build, documents) if result.matched_count < len(documents) else set()

    async def _overtaken(self, build: str, written: Sequence[FoldedDocument]) -> set[str]:
        stored = await self.load(build, [one.key for one in written])
        return {one.key for one in written if stored.get(one.key) != one}


def stored(document: FoldedDocument) -> Document:
    """``document`` as it is kept."""
    return {
        "_id": document.key,
        "folded": document.folded,
        "positions": dict(document.positions),
        "body": document.body,
    }


def _tests(where: Sequence[Where]) -> list[Document]:
    return [{"body": {"$ne": None}}, *({f"body.{test.field}": {f"${test.op}": test.value}} for test in where)]


def _beyond(field: str, place: Sequence[Scalar], *, descending: bool) -> Document:
    """What comes after the document at ``place``. Comparisons never match null, so null is dealt with by itself."""
    value, key = place
    same = {field: {"$eq": value}, "_id": {"$lt" if descending else "$gt": key}}
    if value is None:
        return same if descending else {"$or": [same, {field: {"$ne": None}}]}
    if descending:
        return {"$or": [same, {field: {"$lt": value}}, {field: {"$eq": None}}]}
    return {"$or": [same, {field: {"$gt": value}}]}


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout) as error:
        raise StoreUnavailable(f"MongoDB does not answer: {error}") from error
    except BulkWriteError as error:
        if error.details["writeErrors"]:
            raise
        raise StoreUnavailable(f"MongoDB does not say that it keeps what was written: {error.details}") from error
