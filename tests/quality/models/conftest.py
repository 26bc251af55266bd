"""A cluster that counts GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def cluster_with_gpus() -> Iterator[Any]:
    """A local cluster that counts two GPUs: what they would run falls back to the CPU, how they are shared is real."""
    import ray

    ray.shutdown()
    yield ray.init(
        "local", num_cpus=2, num_gpus=2, include_dashboard=True, log_to_driver=False, object_store_memory=256 << 20
    )
    ray.shutdown()
