"""Connections to a Postgres server by its URL: sessions in UTC, the URL's parts for other clients, errors as one line."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit

import psycopg2

from streamflow.core.errors import EnvironmentFault, first_line

URL_VARIABLE = "STREAMFLOW_DATABASE_URL"
# Whatever a role or database was set to: moments in UTC, and the shortest exact text of a float.
_SESSION = "-c timezone=UTC -c extra_float_digits=1 -c datestyle=ISO"
_NOTATION = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded"


def connect(url: str) -> Any:
    """A psycopg2 connection in UTC, floats with all digits.

    Raises EnvironmentFault naming the server (never the password) if that fails.
    """
    try:
        return psycopg2.connect(url, options=_SESSION, connect_timeout=8)
    except psycopg2.OperationalError as error:
        reason = first_line(error, "no answer").split("failed: ")[-1]
        raise EnvironmentFault(f"Postgres at {without_password(url)}: {reason}; check {URL_VARIABLE}") from error
    except psycopg2.Error:
        # libpq quotes the part that it can't read, which may be the password.
        raise EnvironmentFault(f"{URL_VARIABLE} is not a valid URL; {_NOTATION}") from None


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    """A cursor in a transaction on a new connection. Raises EnvironmentFault if a statement fails."""
    with closing(connect(url)) as connection:
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            reason = first_line(error)
            raise EnvironmentFault(f"Postgres at {without_password(url)}: {reason}; nothing was written") from error


def named_url(url: str) -> str:
    """The user's URL with the scheme postgresql. Raises EnvironmentFault if it names no database."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise EnvironmentFault(f"{URL_VARIABLE} is not a URL with one host and one port; {_NOTATION}") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/") or parts.fragment:
        raise EnvironmentFault(f"{URL_VARIABLE}={without_password(url)} names no database; {_NOTATION}")
    return urlunsplit(parts._replace(scheme="postgresql"))


def sqlalchemy_url(url: str, schema: str) -> str:
    """The URL for SQLAlchemy with psycopg2, with `schema` first (and alone) on the search path."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    query["options"] = f"-csearch_path={schema}"
    return urlunsplit(("postgresql+psycopg2", parts.netloc, parts.path, urlencode(query), ""))


def connection_fields(url: str) -> dict[str, str]:
    """host, port, database, user, password and sslmode of a URL, as Feast's feature_store.yaml wants them."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "host": unquote(query.get("host") or parts.hostname or "localhost"),
        "port": str(parts.port or query.get("port") or 5432),
        "database": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
        "sslmode": query.get("sslmode", "prefer"),
    }


def tls_variables(url: str) -> dict[str, str]:
    """libpq's environment variables for the certificates that a URL names; Feast has no settings for them."""
    query = parse_qs(urlsplit(url).query)
    return {f"PG{name.upper()}": query[name][-1] for name in ("sslrootcert", "sslcert", "sslkey") if name in query}


def without_password(url: str) -> str:
    """The URL with its password masked, for messages."""
    masked = re.sub(r"//([^:@/]*):.*@", r"//\1:***@", url)  # up to the last @: a password may hold anything
    return re.sub(r"(password=)[^&]*", r"\1***", masked)


def ensure_schema(url: str, schema: str) -> None:
    """Create a schema if it is missing; several processes may do it at once."""
    with transaction(url) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"schema {schema}",))
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
