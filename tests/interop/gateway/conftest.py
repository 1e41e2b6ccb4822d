"""The two gateways, started once for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.two_providers import TwoProviders, two_providers


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def providers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TwoProviders]:
    """Both providers, for the whole folder."""
    async with two_providers(tmp_path_factory.mktemp("scene") / "scene") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def world(providers: TwoProviders) -> AsyncIterator[TwoProviders]:
    """Both providers; afterwards no phone is left, and no gateway has stumbled."""
    yield providers
    await providers.close_phones()
    for provider in (providers.alpha, providers.beta):
        assert "Traceback" not in providers.log(provider), provider.domain
