"""One build of the embedded hotel search: a tantivy index in a directory of its own. Synchronous.

The engine matches, scores and counts; the order of a page, exact distances and cursors are worked out here on the
index's columns, which for some thousands of hotels takes milliseconds. Only the documents of the page are read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import tantivy
from tantivy import FieldType, Filter, Occur, Query, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from infra.stores import hotels
from infra.stores.cursors import Scalar
from projections.ports import Document, FoldedDocument, HotelQuery, StoreUnavailable

_WRITER_BYTES = 50_000_000
WORDS = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.lowercase()).filter(Filter.ascii_fold()).build()
"""How texts become words: every index has to be told when it is opened."""
_TEXTS = ("name", "city_words", "description")
_FIELD_OF = {"name": "name", "city": "city_words", "description": "description"}
_TERMS = ("city", "city_folded", "amenities", "name_order", "sold_out", "open_nights")
_INTEGERS = ("stars", "max_guests")
_FLOATS = ("latitude", "longitude", "from_price", "rating", "price_order", "rating_order")
Ranked = tuple[tuple[Scalar, ...], tantivy.DocAddress]


def _schema() -> tantivy.Schema:
    """``listed`` is 1 for what may be found; ``number`` stands for the key where only numbers will do."""
    builder = SchemaBuilder()
    builder.add_text_field("key", fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field("stored", stored=True)
    for name in ("number", "folded", "listed", "open_by_default"):
        builder.add_unsigned_field(name, indexed=True, fast=True)
    for name in _TEXTS:
        builder.add_text_field(name, tokenizer_name="words", index_option="freq")
    for name in _TERMS:
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    for name in _INTEGERS:
        builder.add_integer_field(name, indexed=True, fast=True)
    for name in _FLOATS:
        builder.add_float_field(name, indexed=True, fast=True)
    return builder.build()


class Entry(NamedTuple):
    """What is written for one document."""

    key: str
    folded: int
    content: tantivy.Document


class HotelIndex:
    """The index in ``directory``. Any process may read it; the first that writes keeps the right to until ``close``."""

    def __init__(self, directory: Path) -> None:
        """Raises FileNotFoundError."""
        self._directory = directory
        self._schema = _schema()
        with _there(directory):
            self._index = tantivy.Index(self._schema, str(directory))
            self._index.config_reader("manual")
        self._index.register_tokenizer("words", WORDS)
        self._writing = threading.Lock()
        self._writer: tantivy.IndexWriter | None = None
        self._folded: dict[str, int] = {}
        self._seen: tuple[int, int] | None = None

    def close(self) -> None:
        """Finish what the writer does in the background and let other processes write."""
        with self._writing:
            self._end_writing()

    def load(self, keys: Sequence[str]) -> dict[str, FoldedDocument]:
        """What is stored of ``keys``."""
        searcher = self._searcher()
        query = Query.term_set_query(self._schema, "key", list(keys))
        found = [_read(searcher.doc(address)) for _, address in searcher.search(query, limit=len(keys) or 1).hits]
        return {document.key: document for document in found}

    def save(self, entries: Sequence[Entry], *, keep_writer: bool = True) -> frozenset[str]:
        """Write what is newer than stored, durably and as one; the keys of the rest.

        Unless the writer is kept other processes may write then. Raises StoreUnavailable, FileNotFoundError.
        """
        newest = {entry.key: entry for entry in entries}
        self._directory.stat()
        with self._writing:
            try:
                writer = self._writer or self._start_writing()
                accepted = [entry for entry in newest.values() if entry.folded > self._folded.get(entry.key, -1)]
                for entry in accepted:
                    if entry.key in self._folded:
                        writer.delete_documents_by_term("key", entry.key)
                    writer.add_document(entry.content)
                if accepted:
                    writer.commit()
            except (OSError, ValueError) as error:
                self._writer = None
                raise StoreUnavailable(f"the search index in {self._directory} cannot be written: {error}") from error
            self._folded.update({entry.key: entry.folded for entry in accepted})
            if not keep_writer:
                self._end_writing()
        return frozenset(newest) - {entry.key for entry in accepted}

    def search(
        self, query: HotelQuery, after: Sequence[Scalar] | None
    ) -> tuple[list[tuple[tuple[Scalar, ...], Document]], int, Mapping[str, Mapping[str, int]]]:
        """Up to ``limit + 1`` hotels after ``after`` with their places, how many match, and the facets of those."""
        searcher = self._searcher()
        matching = self._matching(query)
        ranked, everything = self._ranked(searcher, matching, query)
        facets = self._facets(searcher, matching if everything else self._exactly(searcher, ranked))
        ranked.sort(key=lambda hit: hit[0])
        place = None if after is None else tuple(after)
        rest = ranked if place is None else [hit for hit in ranked if hit[0] > place]
        page = [(values, _read(searcher.doc(address)).body or {}) for values, address in rest[: query.limit + 1]]
        return page, len(ranked), facets

    def suggestions(self, prefix: str, limit: int) -> tuple[list[str], list[str]]:
        """Cities and names of which each word of ``prefix`` begins a word, typos allowed."""
        wanted = WORDS.analyze(prefix)[: hotels.MAX_WORDS]
        if not wanted:
            return [], []
        searcher = self._searcher()
        named = searcher.search(self._beginning("name", wanted), limit=limit).hits
        names = [(_read(searcher.doc(address)).body or {})["name"] for _, address in named]
        facet = {"city": {"terms": {"field": "city", "size": limit}}}
        buckets = searcher.aggregate(self._beginning("city_words", wanted), facet)["city"]["buckets"]
        return [bucket["key"] for bucket in buckets], names

    def _searcher(self) -> tantivy.Searcher:
        """A view of the last commit, whichever process made it. Raises FileNotFoundError once the build is dropped."""
        stat = (self._directory / "meta.json").stat()
        if self._seen != (seen := (stat.st_mtime_ns, stat.st_ino)):
            with _there(self._directory):
                self._index.reload()
            self._seen = seen
        return self._index.searcher()

    def _end_writing(self) -> None:
        if self._writer is not None:
            self._writer.wait_merging_threads()
            self._writer = None

    def _start_writing(self) -> tantivy.IndexWriter:
        self._writer = self._index.writer(_WRITER_BYTES, 1)
        searcher = self._searcher()
        hits = searcher.search(Query.all_query(), limit=searcher.num_docs or 1, order_by_field="key").hits
        folded = searcher.fast_field_values("folded", [address for _, address in hits])
        self._folded = {key: int(count or 0) for (key, _), count in zip(hits, folded, strict=True)}
        return self._writer

    def _ranked(self, searcher: tantivy.Searcher, matching: Query, query: HotelQuery) -> tuple[list[Ranked], bool]:
        """Matching hotels with their place in the order (ascending), and whether all of ``matching`` are among them."""
        by = "name_order" if query.sort == "name" else None
        hits = searcher.search(
            matching, limit=searcher.num_docs or 1, count=False, order_by_field=by, order=tantivy.Order.Asc
        ).hits
        addresses = [address for _, address in hits]

        def column(name: str) -> list[Any]:
            return searcher.fast_field_values(name, addresses)

        distances: list[float] = []
        if query.latitude is not None and query.longitude is not None:
            here = query.latitude, query.longitude
            places = zip(column("latitude"), column("longitude"), strict=True)
            distances = [hotels.distance_km(*here, *place) for place in places]
        values: Sequence[tuple[Scalar, ...]]
        match query.sort:
            case "relevance":
                scores = (-score for score, _ in hits)
                values = list(zip(scores, (-rating for rating in column("rating_order")), strict=True))
            case "name":
                values = [(name,) for name, _ in hits]
            case "price":
                values = [(price,) for price in column("price_order")]
            case "rating":
                values = [(-rating,) for rating in column("rating_order")]
            case "stars":
                values = [(-stars,) for stars in column("stars")]
            case "distance":
                values = [(distance,) for distance in distances]
        ranked = [
            ((*value, number), address)
            for value, number, address in zip(values, column("number"), addresses, strict=True)
        ]
        if query.radius_km is None:
            return ranked, True
        inside = [hit for hit, distance in zip(ranked, distances, strict=True) if distance <= query.radius_km]
        return inside, len(inside) == len(ranked)

    def _exactly(self, searcher: tantivy.Searcher, ranked: Sequence[Ranked]) -> Query:
        numbers = searcher.fast_field_values("number", [address for _, address in ranked])
        return Query.term_set_query(self._schema, "number", numbers) if numbers else Query.empty_query()

    def _facets(self, searcher: tantivy.Searcher, matching: Query) -> Mapping[str, Mapping[str, int]]:
        asked = {facet: {"terms": {"field": facet, "size": size}} for facet, size in hotels.FACET_VALUES.items()}
        counted = searcher.aggregate(matching, asked)
        return {
            facet: {str(bucket["key"]): bucket["doc_count"] for bucket in counted[facet]["buckets"]}
            for facet in hotels.FACET_VALUES
        }

    def _matching(self, query: HotelQuery) -> Query:
        """Text scores, everything else only filters."""
        filters = [self._term("listed", 1), *(self._term("amenities", amenity) for amenity in query.amenities)]
        if query.city is not None:
            filters.append(self._term("city_folded", hotels.fold(query.city)))
        if query.stars:
            filters.append(Query.term_set_query(self._schema, "stars", list(query.stars)))
        if query.radius_km is not None and query.latitude is not None and query.longitude is not None:
            box = hotels.box_around(query.latitude, query.longitude, query.radius_km)
            filters.append(self._range("latitude", box.south, box.north))
            if box.west is not None:
                filters.append(self._range("longitude", box.west, box.east))
        if query.price_min is not None or query.price_max is not None:
            filters.append(self._range("from_price", query.price_min, query.price_max))
        if query.min_rating is not None:
            filters.append(self._range("rating", query.min_rating, None))
        if query.guests is not None:
            filters.append(Query.range_query(self._schema, "max_guests", FieldType.Integer, lower_bound=query.guests))
        nights = [night.isoformat() for night in query.nights]
        clauses = [(Occur.MustNot, self._term("sold_out", night)) for night in nights]
        if nights:
            on_each = [(Occur.Must, self._term("open_nights", night)) for night in nights]
            filters.append(
                Query.boolean_query(
                    [(Occur.Should, self._term("open_by_default", 1)), (Occur.Should, Query.boolean_query(on_each))]
                )
            )
        clauses += [(Occur.Must, Query.const_score_query(one, 0.0)) for one in filters]
        if query.text and query.text.strip():
            clauses.append((Occur.Must, self._text(query.text)))
        return Query.boolean_query(clauses)

    def _text(self, text: str) -> Query:
        wanted = WORDS.analyze(text)[: hotels.MAX_WORDS]
        if not wanted:
            return Query.empty_query()
        return Query.boolean_query(
            [(Occur.Should, Query.disjunction_max_query(self._weighed(word))) for word in wanted],
            minimum_number_should_match=hotels.required(len(wanted)),
        )

    def _weighed(self, word: str) -> list[Query]:
        queries = []
        for field, (exact, similar) in hotels.WEIGHTS.items():
            queries.append(Query.const_score_query(self._term(_FIELD_OF[field], word), exact))
            queries.append(Query.const_score_query(self._like(_FIELD_OF[field], word), similar))
        return queries

    def _beginning(self, field: str, wanted: Sequence[str]) -> Query:
        """Each word begins a word of the field; those without a typo count more. Only what is listed has the field."""
        clauses = []
        for word in wanted:
            exact = Query.fuzzy_term_query(self._schema, field, word, distance=0, prefix=True)
            clauses.append((Occur.Must, self._like(field, word, prefix=True)))
            clauses.append((Occur.Should, Query.const_score_query(exact, 1.0)))
        return Query.boolean_query(clauses)

    def _like(self, field: str, word: str, *, prefix: bool = False) -> Query:
        return Query.fuzzy_term_query(self._schema, field, word, distance=hotels.edits(word), prefix=prefix)

    def _term(self, field: str, value: str | int) -> Query:
        return Query.term_query(self._schema, field, value, index_option="basic")

    def _range(self, field: str, lowest: float | None, highest: float | None) -> Query:
        lower, upper = (None if bound is None else float(bound) for bound in (lowest, highest))
        return Query.range_query(self._schema, field, FieldType.Float, lower, upper)


def entry_of(document: FoldedDocument) -> Entry:
    """``document`` as the index keeps it."""
    stored = {"key": document.key, "folded": document.folded, "positions": dict(document.positions)}
    entry = tantivy.Document()
    entry.add_text("key", document.key)
    entry.add_unsigned("folded", document.folded)
    entry.add_bytes("stored", orjson.dumps(stored | {"body": document.body}))
    fields = hotels.searched(document.key, document.body)
    if fields is None:
        return Entry(document.key, document.folded, entry)
    entry.add_unsigned("listed", 1)
    entry.add_unsigned("number", int.from_bytes(blake2b(document.key.encode(), digest_size=6).digest()))
    entry.add_unsigned("open_by_default", int(fields["open_by_default"]))
    for name in (*_TEXTS, *_TERMS):
        for text in fields[name] if isinstance(fields[name], list) else [fields[name]]:
            entry.add_text(name, text)
    for name in _INTEGERS:
        entry.add_integer(name, fields[name])
    for name in _FLOATS:
        if name in fields:
            entry.add_float(name, fields[name])
    return Entry(document.key, document.folded, entry)


@contextmanager
def _there(directory: Path) -> Iterator[None]:
    """The engine says ValueError to everything. Raises FileNotFoundError if that is because ``directory`` is gone."""
    try:
        yield
    except ValueError:
        directory.stat()
        raise


def _read(entry: tantivy.Document) -> FoldedDocument:
    stored = orjson.loads(entry.get_first("stored") or b"{}")
    return FoldedDocument(stored["key"], stored["body"], stored["folded"], stored["positions"])
