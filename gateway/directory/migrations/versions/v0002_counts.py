"""Counts that all processes share, the log that records are in, and numbers of 64 bits."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    text,
)

revision = "0002"
down_revision = "0001"
_BIG = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Add what is new. SQLite's integers have 64 bits anyway."""
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("dp_floors", "seq", type_=BigInteger)
        op.alter_column("dp_records", "log_index", type_=BigInteger)
    unlogged = text("log_index IS NULL")
    op.create_index(
        "dp_records_unlogged",
        "dp_records",
        ["csi"],
        sqlite_where=unlogged,
        postgresql_where=unlogged,
    )
    op.create_table(
        "dp_lookup_quotas",
        Column("peer", String(64), primary_key=True),
        Column("day", Integer, primary_key=True),
        Column("used", _BIG, nullable=False),
    )
    op.create_table(
        "dp_token_keys",
        Column("key", _BIG, primary_key=True, autoincrement=False),
        Column("accepted_at", Float, nullable=False),
        Column("spent", _BIG, nullable=False),
    )
    op.create_table(
        "dp_spent_tokens",
        Column("key", _BIG, primary_key=True, autoincrement=False),
        Column("digest", LargeBinary(16), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dp_log",
        Column("only", SmallInteger, primary_key=True, autoincrement=False),
        Column("verifier_key", String(512), nullable=False),
    )
