"""One authority for the whole folder: making keys is the slow part."""

import pytest

from tests.support.stir_authority import StirWorld


@pytest.fixture(scope="session")
def world() -> StirWorld:
    return StirWorld()
