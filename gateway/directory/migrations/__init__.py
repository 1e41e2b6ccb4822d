"""The versions of the directory's tables, one file a step, run by Alembic."""
