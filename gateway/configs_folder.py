"""Where the shipped configurations are: beside the packages, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path


def configs_folder() -> Path:
    """Return the folder of the shipped configurations; raises FileNotFoundError."""
    here = Path(__file__).resolve().parent
    for folder in (here.parent / "configs", here / "configs"):
        if (folder / "edge.toml").is_file():
            return folder
    raise FileNotFoundError("the folder configs with edge.toml is missing from the installation")
