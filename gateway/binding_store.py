"""Registered bindings in a database: SQLite by default, any that SQLAlchemy reaches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import Column, MetaData, String, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from sip.bindings import Binding

metadata: Final = MetaData()
_bindings: Final = Table(
    "sip_bindings",
    metadata,
    Column("aor", String(255), primary_key=True),
    Column("document", Text, nullable=False),
)


class BindingsUnavailable(Exception):
    """The database of bindings failed; the text names what it said."""


class SqlBindingStore:
    """A `sip.bindings.BindingStore`: one row an address of record.

    All bindings of an address are one document, so that replacing them is a single statement
    that compares and sets, on every database. Every method raises BindingsUnavailable.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create_tables(self) -> None:
        """Make the table where it is missing."""
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
        except SQLAlchemyError as error:
            raise BindingsUnavailable(_said(error)) from None

    async def get(self, aor: str) -> tuple[Binding, ...]:
        """Return the bindings of an address of record."""
        wanted = select(_bindings.c.document).where(_bindings.c.aor == aor)
        try:
            async with self._engine.connect() as connection:
                document = (await connection.execute(wanted)).scalar_one_or_none()
        except SQLAlchemyError as error:
            raise BindingsUnavailable(_said(error)) from None
        return _read(document) if document is not None else ()

    async def replace(
        self, aor: str, bindings: tuple[Binding, ...], *, expected: tuple[Binding, ...]
    ) -> bool:
        """Put `bindings` in the place of `expected`; False where something else is stored."""
        try:
            async with self._engine.begin() as connection:
                if not expected:
                    if not bindings:
                        return True
                    row = {"aor": aor, "document": _written(bindings)}
                    await connection.execute(insert(_bindings).values(row))
                    return True
                is_expected = (_bindings.c.aor == aor) & (
                    _bindings.c.document == _written(expected)
                )
                if not bindings:
                    done = await connection.execute(delete(_bindings).where(is_expected))
                else:
                    changed = update(_bindings).where(is_expected)
                    done = await connection.execute(changed.values(document=_written(bindings)))
                return done.rowcount == 1
        except IntegrityError:
            return False
        except SQLAlchemyError as error:
            raise BindingsUnavailable(_said(error)) from None


def _written(bindings: Sequence[Binding]) -> str:
    return json.dumps([asdict(binding) for binding in bindings], separators=(",", ":"))


def _read(document: str) -> tuple[Binding, ...]:
    return tuple(Binding(**fields) for fields in json.loads(document))


def _said(error: SQLAlchemyError) -> str:
    """The database's own words, without the statement and its values."""
    original = getattr(error, "orig", None)
    return str(original if original is not None else type(error).__name__)
