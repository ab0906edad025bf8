"""Hotel search in Elasticsearch: one index per build, an alias per read model, ``folded`` as external version.

Writes go through an alias of the index's own, and require it: an index that is missing would be made anew by the first
write, with a guessed mapping, so that a store which was emptied would silently be filled with halves of documents.
What was folded is stored beside the searched fields but not parsed (``stored``), so nothing in it can clash with the
mapping. Only what every distribution of the server has is used: no scripts, no ingest, no reindex.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from elastic_transport import ConnectionError as Unreachable
from elastic_transport import ConnectionTimeout, OrjsonSerializer
from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, NotFoundError
from elasticsearch.helpers import async_streaming_bulk

from infra.stores import hotels
from infra.stores.cursors import seal, unseal
from projections.ports import BuildMissing, Document, FoldedDocument, HotelHits, HotelQuery, StoreUnavailable

_PATIENCE_SECONDS = 5.0
_BULK_PATIENCE_SECONDS = 30.0
_BULK_BYTES = 10_000_000
_CONFLICT = 409
_NO_INDEX = "index_not_found_exception"
_AWAY = {429, 502, 503, 504}
_REFRESH = "100ms"
_SETTINGS = {
    "number_of_shards": 1,
    "auto_expand_replicas": "0-1",
    "refresh_interval": _REFRESH,
    "translog": {"durability": "request"},  # what is acknowledged outlives a kill of the server
    "analysis": {
        "filter": {"beginnings": {"type": "edge_ngram", "min_gram": 1, "max_gram": 20}},
        "analyzer": {
            "words": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding"]},
            "beginnings": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "beginnings"]},
        },
    },
}
_TEXT = {
    "type": "text",
    "analyzer": "words",
    "fields": {"beginnings": {"type": "text", "analyzer": "beginnings", "search_analyzer": "words"}},
}
_KEYWORD, _DOUBLE, _INTEGER = {"type": "keyword"}, {"type": "double"}, {"type": "integer"}
_MAPPINGS = {
    "dynamic": False,
    "properties": {
        "stored": {"type": "object", "enabled": False},
        "key": _KEYWORD,
        "name": _TEXT,
        "name_order": _KEYWORD,
        "city": _KEYWORD,
        "city_words": _TEXT,
        "city_folded": _KEYWORD,
        "description": {"type": "text", "analyzer": "words"},
        "stars": _INTEGER,
        "amenities": _KEYWORD,
        "location": {"type": "geo_point"},
        "from_price": _DOUBLE,
        "rating": _DOUBLE,
        "price_order": _DOUBLE,
        "rating_order": _DOUBLE,
        "max_guests": _INTEGER,
        "sold_out": _KEYWORD,
        "open_by_default": {"type": "boolean"},
        "open_nights": _KEYWORD,
    },
}
_FIELD_OF = {"name": "name", "city": "city_words", "description": "description"}


class ElasticsearchHotels:
    """The SearchStore on Elasticsearch at ``url``; all its indexes and aliases begin with ``prefix``.

    A write returns when it can be found, at most a refresh interval (100 ms) later.
    """

    def __init__(self, url: str, prefix: str = "nightledger-") -> None:
        self._url = url
        self._prefix = prefix
        self._client: Any = None
        self._filling: set[str] = set()
        """Builds that are not refreshed by themselves."""

    async def open(self) -> None:
        """Make the client; connections are made when they are needed."""
        self._client = AsyncElasticsearch(
            self._url, request_timeout=_PATIENCE_SECONDS, max_retries=0, serializer=OrjsonSerializer()
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def ping(self) -> None:
        """Raises StoreUnavailable if the server does not answer."""
        with _answering():
            await self._client.info()

    async def prepare(self, build: str) -> None:
        """See FoldStore."""
        with _answering():
            try:
                await self._client.indices.create(
                    index=self._named(build),
                    settings=_SETTINGS,
                    mappings=_MAPPINGS,
                    aliases={self._writes_of(build): {}},
                )
            except BadRequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise

    async def point(self, name: str, build: str) -> None:
        """See Builds; both halves of the swap are one change of the cluster's state."""
        alias = self._named(name)
        with _answering():
            await self._client.indices.update_aliases(
                actions=[
                    {"remove": {"index": f"{self._prefix}*", "alias": alias, "must_exist": False}},
                    {"add": {"index": self._named(build), "alias": alias}},
                ]
            )

    async def pointed(self, name: str) -> str | None:
        """See Builds."""
        with _answering():
            try:
                answer = await self._client.indices.get_alias(name=self._named(name))
            except NotFoundError:
                return None
        index: str = next(iter(answer.body))
        return index.removeprefix(self._prefix)

    async def drop(self, build: str) -> None:
        """See Builds."""
        with _answering():
            await self._client.indices.delete(index=self._named(build), ignore_unavailable=True)

    async def load(self, build: str, keys: Sequence[str]) -> Mapping[str, FoldedDocument]:
        """See FoldStore; reads by key see what is not yet searchable."""
        if not keys:
            return {}
        with _answering():
            answer = await self._client.options(request_timeout=_BULK_PATIENCE_SECONDS).mget(
                index=self._named(build), ids=list(keys)
            )
        if any(one.get("error", {}).get("type") == _NO_INDEX for one in answer["docs"]):
            raise BuildMissing(build)
        return {one["_id"]: _loaded(one) for one in answer["docs"] if one.get("found")}

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        """See FoldStore; the server refuses a version that is not higher than the stored one."""
        if filling and build not in self._filling:
            await self._refresh_every(build, "-1")
            self._filling.add(build)
        actions = (
            {
                "_index": self._writes_of(build),
                "_id": document.key,
                "version": document.folded,
                "version_type": "external",
                "_source": indexed(document),
            }
            for document in documents
        )
        refused = set[str]()
        with _answering():
            async for written, item in async_streaming_bulk(
                self._client.options(request_timeout=_BULK_PATIENCE_SECONDS),
                actions,
                max_chunk_bytes=_BULK_BYTES,
                raise_on_error=False,
                refresh=False if filling else "wait_for",
                require_alias=True,
            ):
                result = item["index"]
                if written:
                    continue
                if result["error"]["type"] == _NO_INDEX:
                    raise BuildMissing(build)
                if result["status"] in _AWAY:
                    raise StoreUnavailable(f"Elasticsearch cannot write now: {result['error']}")
                if result["status"] != _CONFLICT:
                    raise ValueError(f"Elasticsearch refuses document {result['_id']} of {build}: {result['error']}")
                refused.add(result["_id"])
        return frozenset(refused)

    async def filled(self, build: str, indexes: Sequence[tuple[str, ...]] = ()) -> None:
        """See Builds; what was saved can be found from now on, and soon after it is saved."""
        del indexes
        self._filling.discard(build)
        await self._refresh_every(build, _REFRESH)
        with _answering():
            await self._client.options(request_timeout=_BULK_PATIENCE_SECONDS).indices.refresh(index=self._named(build))

    @property
    def fill_size(self) -> int:
        """See FoldStore. Hotels change over and over, and each time the whole document is indexed anew."""
        return 10_000

    async def _refresh_every(self, build: str, interval: str) -> None:
        with _answering():
            try:
                await self._client.indices.put_settings(
                    index=self._named(build), settings={"refresh_interval": interval}
                )
            except NotFoundError as error:
                raise BuildMissing(build) from error

    async def search(self, name: str, query: HotelQuery) -> HotelHits:
        """See SearchStore."""
        hotels.check(query)
        scope = hotels.scope_of(name, query)
        after = {}
        if query.cursor is not None:
            after["search_after"] = unseal(scope, query.cursor, hotels.place_of(query, str))
        with _answering():
            try:
                answer = await self._client.search(
                    index=self._named(name),
                    query=_matching(query),
                    sort=_sorted(query),
                    size=query.limit + 1,
                    track_total_hits=True,
                    source_includes=["stored.body"],
                    source_excludes=["stored.body._*"],
                    aggregations={
                        facet: {"terms": {"field": facet, "size": size}} for facet, size in hotels.FACET_VALUES.items()
                    },
                    **after,
                )
            except NotFoundError:
                return HotelHits([], 0, {facet: {} for facet in hotels.FACET_VALUES}, None)
        hits = answer["hits"]["hits"]
        more = len(hits) > query.limit
        return HotelHits(
            [hit["_source"]["stored"]["body"] for hit in hits[: query.limit]],
            answer["hits"]["total"]["value"],
            {
                facet: {str(bucket["key"]): bucket["doc_count"] for bucket in answer["aggregations"][facet]["buckets"]}
                for facet in hotels.FACET_VALUES
            },
            seal(scope, hits[query.limit - 1]["sort"]) if more else None,
        )

    async def suggest(self, name: str, prefix: str, limit: int = 8) -> Sequence[str]:
        """See SearchStore."""
        wanted = hotels.words(prefix)
        if not wanted:
            return []
        index = {"index": self._named(name), "ignore_unavailable": True}
        with _answering():
            answer = await self._client.msearch(
                searches=[
                    index,
                    {"query": _beginning("name", wanted), "size": limit * 4, "_source": ["name"]},
                    index,
                    {
                        "query": _beginning("city_words", wanted),
                        "size": 0,
                        "aggs": {"city": {"terms": {"field": "city", "size": limit * 4}}},
                    },
                ]
            )
        names, cities = answer["responses"]
        return hotels.ranked_suggestions(
            prefix,
            [bucket["key"] for bucket in cities.get("aggregations", {}).get("city", {}).get("buckets", ())],
            [hit["_source"]["name"] for hit in names["hits"]["hits"]],
            limit,
        )

    def _named(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _writes_of(self, build: str) -> str:
        return f"{self._named(build)}.writes"


def indexed(document: FoldedDocument) -> Document:
    """``document`` as it is indexed."""
    stored = {"stored": {"body": document.body, "positions": dict(document.positions)}}
    fields = hotels.searched(document.key, document.body)
    if fields is None:
        return stored
    location = {"lat": fields.pop("latitude"), "lon": fields.pop("longitude")}
    return stored | fields | {"location": location}


def _loaded(found: Mapping[str, Any]) -> FoldedDocument:
    stored = found["_source"]["stored"]
    return FoldedDocument(found["_id"], stored["body"], found["_version"], stored["positions"])


def _matching(query: HotelQuery) -> Document:
    """Text scores, everything else only filters. Only what may be found has a ``key``."""
    filters: list[Document] = [{"exists": {"field": "key"}}]
    filters += [{"term": {"amenities": amenity}} for amenity in query.amenities]
    if query.city is not None:
        filters.append({"term": {"city_folded": hotels.fold(query.city)}})
    if query.stars:
        filters.append({"terms": {"stars": list(query.stars)}})
    if query.radius_km is not None:
        location = {"lat": query.latitude, "lon": query.longitude}
        filters.append({"geo_distance": {"distance": f"{query.radius_km!r}km", "location": location}})
    for field, op, value in (
        ("from_price", "gte", query.price_min),
        ("from_price", "lte", query.price_max),
        ("rating", "gte", query.min_rating),
        ("max_guests", "gte", query.guests),
    ):
        if value is not None:
            filters.append({"range": {field: {op: value}}})
    nights = [night.isoformat() for night in query.nights]
    if nights:
        on_each = {"bool": {"filter": [{"term": {"open_nights": night}} for night in nights]}}
        filters.append({"bool": {"should": [{"term": {"open_by_default": True}}, on_each]}})
    text = {"must": [_text(query.text)]} if query.text and query.text.strip() else {}
    return {"bool": {"filter": filters, "must_not": [{"terms": {"sold_out": nights}}], **text}}


def _text(text: str) -> Document:
    wanted = hotels.words(text)
    if not wanted:
        return {"match_none": {}}
    return {
        "bool": {
            "should": [{"dis_max": {"queries": _weighed(word)}} for word in wanted],
            "minimum_should_match": hotels.required(len(wanted)),
        }
    }


def _weighed(word: str) -> list[Document]:
    queries: list[Document] = []
    for field, (exact, similar) in hotels.WEIGHTS.items():
        match = {"query": word, "operator": "and"}
        fuzzy = match | {"fuzziness": hotels.ELASTIC_EDITS}
        queries += [
            {"constant_score": {"filter": {"match": {_FIELD_OF[field]: match}}, "boost": exact}},
            {"constant_score": {"filter": {"match": {_FIELD_OF[field]: fuzzy}}, "boost": similar}},
        ]
    return queries


def _beginning(field: str, wanted: Sequence[str]) -> Document:
    """Each word begins a word of the field; those without a typo count more."""
    match = {"query": " ".join(wanted), "operator": "and"}
    fuzzy = match | {"fuzziness": hotels.ELASTIC_EDITS}
    beginnings = f"{field}.beginnings"
    return {"bool": {"must": [{"match": {beginnings: fuzzy}}], "should": [{"match": {beginnings: match}}]}}


def _sorted(query: HotelQuery) -> list[Document]:
    key = {"key": "asc"}
    match query.sort:
        case "relevance":
            return [{"_score": "desc"}, {"rating_order": "desc"}, key]
        case "price":
            return [{"price_order": "asc"}, key]
        case "rating":
            return [{"rating_order": "desc"}, key]
        case "stars":
            return [{"stars": "desc"}, key]
        case "name":
            return [{"name_order": "asc"}, key]
        case "distance":
            place = {"lat": query.latitude, "lon": query.longitude}
            return [{"_geo_distance": {"location": place, "order": "asc", "unit": "km"}}, key]


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (Unreachable, ConnectionTimeout) as error:
        raise StoreUnavailable(f"Elasticsearch does not answer: {error}") from error
    except ApiError as error:
        if error.status_code in _AWAY:
            raise StoreUnavailable(f"Elasticsearch cannot serve now: {error}") from error
        raise
