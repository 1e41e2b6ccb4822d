"""The version of the directory's tables: older ones are brought up to date, newer ones refused."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

VERSION_TABLE: Final = "dp_schema_version"
_FOLDER: Final = Path(__file__).with_name("migrations")


class NewerSchema(Exception):
    """The database was upgraded by a newer program; the message says so to an operator."""


def upgrade(connection: Connection) -> None:
    """Run the steps that a database lacks, within the transaction of the connection.

    A database without a version is empty, or of the time before there were versions: the first
    step makes what tables are missing. Raises NewerSchema.
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    steps = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found, known = context.get_current_heads(), steps.get_heads()
    if found == tuple(known):
        return
    unknown = sorted(set(found) - {step.revision for step in steps.walk_revisions()})
    if unknown:
        raise NewerSchema(
            f"a newer program has made its tables (version {unknown[0]}, this one knows "
            f"{known[0]}): run that one, or restore a copy from before"
        )
    command.upgrade(config, "head")
