"""The tables of the SPIN agent."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    text,
    true,
)
from sqlalchemy.schema import CreateColumn

metadata: Final = MetaData()

handlers: Final = Table(
    "spin_handlers",
    metadata,
    Column("handler_id", String(64), primary_key=True),
    Column("app_id", String(64), nullable=False),
    Column("prefix", String(15), nullable=False),
    Column("template", String(255), nullable=False),
    Column("msp", String(253), nullable=False),
    Column("registered_at", Float, nullable=False),
    # Handlers of before there was consent had the operator's.
    Column("active", Boolean, nullable=False, server_default=true()),
)
handler_services: Final = Table(
    "spin_handler_services",
    metadata,
    Column(
        "handler_id",
        ForeignKey("spin_handlers.handler_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("service", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
)
defaults: Final = Table(
    "spin_defaults",
    metadata,
    Column("number", String(15), primary_key=True),
    Column("service", String(16), primary_key=True),
    Column("handler_id", String(64), nullable=False),
)
audit: Final = Table(
    "spin_audit",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("event", String(32), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("caller", String(32), nullable=False),
    Column("number", String(32), nullable=False),
    Column("services", String(64), nullable=False),
    Column("handler_id", String(255), nullable=True),
    Column("owner", String(15), nullable=False, server_default=""),
)
Index("spin_handlers_by_prefix", handlers.c.prefix)
Index("spin_audit_by_owner", audit.c.owner)
rules: Final = Table(
    "spin_rules",
    metadata,
    Column("number", String(15), primary_key=True),
    Column("rules", Text, nullable=False),
)
contacts: Final = Table(
    "spin_contacts",
    metadata,
    Column("number", String(15), primary_key=True),
    Column("contact", String(15), primary_key=True),
    Column("groups", Text, nullable=False),
    Column("tags", Text, nullable=False),
)
credentials: Final = Table(
    "spin_credentials",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("app_id", String(64), nullable=False),
    Column("number", String(15), nullable=False),
    Column("vouched", Boolean, nullable=False),
    Column("granted_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)
Index("spin_credentials_by_number", credentials.c.number)
kept: Final = Table(
    "spin_kept",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("name", String(160), primary_key=True),
    Column("until", Float, nullable=False),
    Column("value", Text, nullable=False),
)
Index("spin_kept_by_end", kept.c.until)


def create_missing(connection: Connection) -> None:
    """Make what tables are missing, and what columns those of an earlier release are missing."""
    present = inspect(connection)
    for table in metadata.sorted_tables:
        if not present.has_table(table.name):
            continue
        held = {column["name"] for column in present.get_columns(table.name)}
        for column in table.columns:
            if column.name not in held:
                added = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {added}"))
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        for index in table.indexes:
            index.create(connection, checkfirst=True)
