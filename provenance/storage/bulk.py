"""Many rows in one statement, on either database: the price of a batch is paid once, not per event.

PostgreSQL takes rows by binary COPY and sets of values as arrays; SQLite takes rows by one prepared
statement run over all of them inside the driver, and sets of values as rows of VALUES. Nothing here
knows what the rows mean.

Sources: PostgreSQL manual, COPY and unnest; sqlite.org/lang_select.html (VALUES), /limits.html
(32,766 variables a statement).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, Table, Text
from sqlalchemy.types import TypeEngine

# Below SQLite's 32,766 with room for a few fixed ones.
MAX_VARIABLES: Final = 32_000

_COPY_TYPES: Final = (
    (BigInteger, "int8"),
    (Integer, "int4"),
    (LargeBinary, "bytea"),
    (Text, "text"),
)


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append `rows`, whose values are in the order of `columns`; the other columns get defaults."""
    names = ", ".join(f'"{name}"' for name in columns)
    if connection.dialect.name == "postgresql":
        _copy(
            connection,
            f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)",
            table,
            columns,
            rows,
        )
        return
    marks = ", ".join("?" * len(columns))
    given = list(map(tuple, rows))
    if given:
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks})",  # noqa: S608 -- names are ours
            given,
        )


def _copy(
    connection: Connection,
    statement: str,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types([_copy_type(table.c[name].type) for name in columns])
        for row in rows:
            copy.write_row(row)


def _copy_type(column_type: TypeEngine[Any]) -> str:
    # BigInteger is an Integer to SQLAlchemy, so the order of the table above matters.
    return next(name for kind, name in _COPY_TYPES if isinstance(column_type, kind))


def upsert_rows(
    connection: Connection,
    table: Table,
    key: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Set `rows`, whose values are in the order of `columns`: new, or in place of those that have
    the same `key`. A key is given once."""
    if not rows:
        return
    names = ", ".join(f'"{name}"' for name in columns)
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name != key)
    conflict = f'ON CONFLICT ("{key}") DO UPDATE SET {changed}'
    if connection.dialect.name == "postgresql":
        arrays = ", ".join(f"%b::{_copy_type(table.c[name].type)}[]" for name in columns)
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) {conflict}",  # noqa: S608 -- names are ours
            tuple(list(column) for column in zip(*rows, strict=True)),
        )
        return
    marks = ", ".join("?" * len(columns))
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {conflict}",  # noqa: S608 -- names are ours
        list(rows),
    )


def read_rows(
    connection: Connection, select: str, wanted: Sequence[int] | Sequence[bytes]
) -> Sequence[tuple[Any, ...]]:
    """The rows of `select`, which ends in the name of the column that is one of `wanted`.

    As the driver gives them: no row objects, no conversions. At most MAX_VARIABLES at a time.
    """
    if connection.dialect.name == "postgresql":
        result = connection.exec_driver_sql(f"{select} = ANY(%s)", (list(wanted),))
    else:
        marks = ",".join("?" * len(wanted))
        result = connection.exec_driver_sql(f"{select} IN ({marks})", tuple(wanted))
    cursor: Any = result.cursor
    return cursor.fetchall()  # type: ignore[no-any-return]


def value_rows(rows: Sequence[Sequence[Any]], width: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """For SQLite: ``(?,?),(?,?),…`` and its flat values, in pieces that fit one statement."""
    mark = "(" + ",".join("?" * width) + ")"
    step = MAX_VARIABLES // width
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        yield ",".join([mark] * len(piece)), tuple(value for row in piece for value in row)
