"""Writing an object of S3 only if nobody else has written it: what a lock in object storage stands on.

pyarrow has no such request, so botocore makes it where that is installed, as `raylib-data[s3]` does.
"""

from __future__ import annotations

import importlib
import logging
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Condition", "tag_of", "write_if"]

logger = logging.getLogger(__name__)

Condition: TypeAlias = "str | None"  # the tag that the object has now; None if it must not exist
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey", "404"}


class _Client(Protocol):
    """The requests of botocore's S3 client that are used here."""

    def put_object(self, **options: object) -> Mapping[str, object]: ...

    def head_object(self, **options: object) -> Mapping[str, object]: ...


def write_if(uri: str, name: str, data: bytes, condition: Condition) -> bool | None:
    """Write an object if it is as it is thought to be.

    Args:
        uri: URI of the folder.
        name: Name of the object in it.
        data: Its content.
        condition: The tag that it has now; None if it must not exist.

    Returns:
        Whether it was written; None where the store, or this installation, knows no such request.
    """
    place = _place(uri, name)
    if place is None:
        return None
    client, bucket, key = place
    only = {"IfNoneMatch": "*"} if condition is None else {"IfMatch": condition}
    try:
        client.put_object(Bucket=bucket, Key=key, Body=data, **only)
    except Exception as error:  # noqa: BLE001 - botocore makes its classes of errors at run time
        if _code(error) in _LOST:
            return False
        logger.info("no conditional write to %s: %s", bucket, error)
        return None
    return True


def tag_of(uri: str, name: str) -> str | None:
    """The tag of an object, which changes with its content; None if it is not there, or where no tags are known."""
    place = _place(uri, name)
    if place is None:
        return None
    client, bucket, key = place
    try:
        return str(client.head_object(Bucket=bucket, Key=key)["ETag"])
    except Exception:  # noqa: BLE001 - botocore makes its classes of errors at run time
        return None


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _place(uri: str, name: str) -> tuple[_Client, str, str] | None:
    """Client, bucket and key; None for other stores, and without botocore."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.hostname or find_spec("botocore") is None:
        return None
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    scheme, host = query.get("scheme", "https"), query.get("endpoint_override", "")
    endpoint = host if "://" in host or not host else f"{scheme}://{host}"
    bucket = parts.netloc.rpartition("@")[2]
    key = f"{unquote(parts.path).strip('/')}/{name}".lstrip("/")
    try:
        return _client(endpoint, query.get("region", ""), parts.username or "", parts.password or ""), bucket, key
    except Exception as error:  # noqa: BLE001 - whatever it is, pyarrow reaches the store in its own way
        logger.info("botocore does not reach %s: %s", bucket, error)
        return None


@cache
def _client(endpoint: str, region: str, key: str, secret: str) -> _Client:
    session = importlib.import_module("botocore.session").get_session()
    config = importlib.import_module("botocore.config").Config(connect_timeout=10, read_timeout=20)
    given = {"aws_access_key_id": unquote(key), "aws_secret_access_key": unquote(secret)} if key else {}
    client: _Client = session.create_client(
        "s3", endpoint_url=endpoint or None, region_name=region or None, config=config, **given
    )
    return client
