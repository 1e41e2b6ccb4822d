"""A URL that leads to the gateway itself is not fetched, whatever networks are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load_config
from gateway.http.fetch import FetchRefused, GuardedClient
from gateway.services import make_fetch_client, make_resolver

CONFIGS = Path(__file__).parents[3] / "configs"


def client() -> GuardedClient:
    config = load_config(CONFIGS / "beta.toml", {})
    without_anchors = config.fetch.model_copy(update={"trust_anchors": None})
    config = config.model_copy(update={"fetch": without_anchors})
    return make_fetch_client(config, make_resolver(config))


@pytest.mark.parametrize("host", [20, 21])
async def test_listeners_admin_and_callback_are_not_fetched_from(host: int) -> None:
    with pytest.raises(FetchRefused, match="denied network"):
        await client().get(f"https://127.61.0.{host}:8443/s/x")
