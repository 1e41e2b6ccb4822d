"""Read by Alembic: steps run within the transaction of whoever upgrades."""

from __future__ import annotations

from alembic import context

from gateway.directory.schema import VERSION_TABLE


def run() -> None:
    """Run the steps that are missing."""
    context.configure(
        connection=context.config.attributes["connection"],
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
