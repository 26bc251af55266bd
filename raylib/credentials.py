"""Secrets in what users type: a path or URI that holds one is refused, because paths end up in ids, reports and logs.

`s3://KEY:SECRET@bucket/pages` would put the secret into the id of every record. No message repeats what it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote

__all__ = ["ADVICE", "key_variable_problem", "masked", "secret_in", "secret_in_command", "secret_told", "secrets_of"]

ADVICE = (
    "credentials do not belong into a path, which ends up in ids, reports and logs; leave them out and set "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (for other storage its own variables), AWS_PROFILE, or give the "
    "machines a role"
)
"""What to do in place of writing a secret into a path."""

_ADVICE_FOR_ENDPOINTS = (
    "an address ends up in recipes, reports and logs; leave them out, put the key into an environment variable, and "
    "name that variable with key_env"
)
_NOT_ON_A_COMMAND_LINE = (
    "process lists, logs and the list of jobs show it; put it into an environment variable of the machines where the "
    "command runs, and name that variable with key_env"
)

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>[^\s'\"<>]*)")
# what stands before the @ is the name of a container or a user, and no secret
_NAMES_AN_OWNER = {"abfs", "abfss", "wasb", "wasbs", "adl", "hdfs", "viewfs", "webhdfs", "sftp", "ssh", "ftp", "smb"}
_SECRET_NAMES = frozenset(
    ("key", "sig", "sas", "pwd", "pass", "auth", "authorization", "googleaccessid", "policy", "keypairid", "bearer")
)
_SECRET_PARTS = (
    "secret",
    "password",
    "passwd",
    "token",
    "signature",
    "credential",
    "accesskey",
    "apikey",
    "accountkey",
)
_PARAMETER = re.compile(r"[?&;#](?P<name>[^=&;#?/]{1,100})=(?P<value>[^&;#\s]*)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.+)", re.DOTALL)
_NOT_SECRET = frozenset({"tokens", "tokenizer", "token", "maxtokens", "keyenv"})


def secret_in(text: str) -> str:
    """What a text with URIs holds that should not be written down.

    Args:
        text: A path, a URI, or words with URIs among them.

    Returns:
        What it is, without the secret itself: `a user name and a password`, `the parameter 'token'`; empty for none.
    """
    if "://" not in text:
        return ""
    return next((found for uri in _URI.finditer(text) if (found := _secret_of(uri["scheme"], uri["rest"]))), "")


def _secret_of(scheme: str, rest: str) -> str:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at and ":" in unquote(user):
        return "a user name and a password"
    if at and scheme.lower() not in _NAMES_AN_OWNER:
        return "a user name or key"
    host, colon, port = authority.rpartition(":")
    if colon and not at and not host.endswith("]") and port and not port.isdigit() and "@" in rest and "[" not in host:
        return "a user name and a password"  # whose slash cuts the authority short
    names = (unquote(found["name"]) for found in _PARAMETER.finditer(rest) if found["value"])
    found = next((f"the parameter {name!r}" for name in names if _is_secret(name)), "")
    return found or secret_in(unquote(rest))  # of an endpoint, or of a URI in a URI


def _is_secret(name: str) -> bool:
    """Whether a parameter of this name is a secret."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return plain in _SECRET_NAMES or any(part in plain for part in _SECRET_PARTS)


def masked(text: str) -> str:
    """A text in which `***` stands in place of every URI that holds a secret.

    Args:
        text: Words, such as a command line.

    Returns:
        The words, without the secrets that `secret_in` finds.
    """

    def cover(uri: re.Match[str]) -> str:
        return f"{uri['scheme']}://***" if _secret_of(uri["scheme"], uri["rest"]) else uri[0]

    return _URI.sub(cover, text) if "://" in text else text


def secret_in_command(words: Iterable[str]) -> str:
    """What a command line holds that others on the machine, and readers of its logs, should not see.

    Args:
        words: The words of the command line.

    Returns:
        What it is and what to do; empty for none.
    """
    for word in words:
        found = secret_in(word)
        if found:
            return f"the command line holds a URI with {found}: {ADVICE}"
        assigned = _ASSIGNMENT.fullmatch(word)
        if assigned and _names_a_secret(assigned["name"]):
            return f"the command line gives {assigned['name']!r} a value: {_NOT_ON_A_COMMAND_LINE}"
    return ""


def _names_a_secret(name: str) -> bool:
    """Whether an option or a variable of this name holds a secret: `quality.api_key`, `AWS_SECRET_ACCESS_KEY`."""
    last = name.rsplit(".", 1)[-1].lower()
    plain = re.sub(r"[^a-z0-9]", "", last)
    if plain in _NOT_SECRET:
        return False
    parts = ("apikey", "secretkey", "accesskey", "password", "passwd", "authtoken", "sessiontoken", "hftoken")
    return any(part in plain for part in (*parts, "secret", "bearertoken", "accesstoken"))


def key_variable_problem(name: str) -> str:
    """What is wrong with the name of the variable that holds a key; most likely the key itself was given.

    Args:
        name: Value of an option such as `key_env`.

    Returns:
        The problem, without the value; empty if there is none.
    """
    if _VARIABLE.fullmatch(name) and len(name) <= 64 and not re.match(r"(?:sk|hf|pk|ghp|gsk)_?[A-Za-z0-9]{16}", name):
        return ""
    return "is the name of an environment variable, such as OPENAI_API_KEY; the key itself goes into that variable"


def secret_told(path: Sequence[object], found: str) -> str:
    """What is wrong with a value of a configuration that holds a secret, and what to do.

    Args:
        path: Keys that lead to the value.
        found: What it holds, as `secrets_of` gives it.

    Returns:
        The problem, without the value.
    """
    endpoint = str(path[-1]).endswith(("url", "endpoint")) if path else False
    key = ".".join(map(str, path))
    return f"{key} holds a URI with {found}: {_ADVICE_FOR_ENDPOINTS if endpoint else ADVICE}"


def secrets_of(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], str]]:
    """The secrets in a configuration.

    Args:
        value: Texts, numbers, and lists and mappings of them.
        path: Path of the value.

    Yields:
        Path of a text, and what it holds.
    """
    if isinstance(value, str):
        if "://" in value and not re.search(r"\s", value.strip()):  # in running text it is an example
            found = secret_in(value)
            if found:
                yield path, found
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from secrets_of(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from secrets_of(item, (*path, number))
