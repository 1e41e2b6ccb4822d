"""The tables as they were before they had a version."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, Float, Integer, String, Text

revision = "0001"
down_revision = None
_CSI = String(261)


def upgrade() -> None:
    """Make what is not there: a database may be from before there were versions."""
    _directory()
    _authority()
    for name, table, *columns in (
        ("dp_records_until", "dp_records", "until"),
        ("dp_floors_until", "dp_floors", "kept_until"),
        ("dp_claims_effective", "dp_claims", "effective_at"),
        ("ca_challenges_csi", "ca_challenges", "csi", "made_at"),
        ("ca_challenges_source", "ca_challenges", "source", "made_at"),
        ("ca_challenges_prefix", "ca_challenges", "prefix", "made_at"),
        ("ca_challenges_made", "ca_challenges", "made_at"),
    ):
        op.create_index(name, table, columns, if_not_exists=True)


def _directory() -> None:
    op.create_table(
        "dp_records",
        Column("csi", _CSI, primary_key=True),
        Column("thumbprint", String(43), primary_key=True),
        Column("token", Text, nullable=False),
        Column("digest", String(43), nullable=False),
        Column("chain", Text, nullable=False),
        Column("drops_others", Boolean, nullable=False),
        Column("opted_out", Boolean, nullable=False),
        Column("live_at", Float, nullable=False),
        Column("until", Float, nullable=False),
        Column("log_index", Integer, nullable=True),
        if_not_exists=True,
    )
    op.create_table(
        "dp_floors",
        Column("csi", _CSI, primary_key=True),
        Column("thumbprint", String(43), primary_key=True),
        Column("seq", Integer, nullable=False),
        Column("kept_until", Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "dp_removals",
        Column("csi", _CSI, primary_key=True),
        Column("removed_at", Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "dp_claims",
        Column("csi", _CSI, primary_key=True),
        Column("thumbprint", String(43), primary_key=True),
        Column("claimed_at", Float, nullable=False),
        Column("effective_at", Float, nullable=False),
        if_not_exists=True,
    )


def _authority() -> None:
    op.create_table(
        "ca_challenges",
        Column("challenge_id", String(43), primary_key=True),
        Column("csi", _CSI, nullable=False),
        Column("prefix", _CSI, nullable=False),
        Column("source", String(64), nullable=False),
        Column("thumbprint", String(43), nullable=False),
        Column("answer", String(43), nullable=False),
        Column("made_at", Float, nullable=False),
        Column("expires_at", Float, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("used", Boolean, nullable=False),
        Column("completed", Boolean, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "ca_authorizations",
        Column("csi", _CSI, primary_key=True),
        Column("thumbprint", String(43), primary_key=True),
        Column("certificate_id", String(43), nullable=False, unique=True),
        Column("proven_at", Float, nullable=False),
        Column("chain_pem", Text, nullable=False),
        Column("issued_at", Float, nullable=False),
        Column("not_after", Float, nullable=False),
        if_not_exists=True,
    )
