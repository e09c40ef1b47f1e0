"""How each type of a schema is converted, as Python source: primitives, logical types, arrays and maps.

Three forms of a value meet here. *Python*: message classes, enums, datetimes, Decimals. *Wire*: msgspec structs
laid out like Avro's JSON encoding (unions are structs with one field a branch, bytes are text); msgspec parses
and writes these in C. *Binary*: Avro's binary encoding, read and written by compiled statements.

Statements that read binary have the body in `b`, its length in `e` and the position in `p`, and may use `n` and
`q`. Those that write it append to a list by `o`. In recursive schemas, `d` says how deep in records they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Convert = Callable[[str], str]  # an expression from an expression
Statements = Callable[[str], list[str]]  # that assign to a variable, or write an expression


def same(expression: str) -> str:
    """No conversion."""
    return expression


@dataclass(frozen=True)
class Shape:
    """How one type is written in each form: source text.

    Attributes:
        tag: its name as a branch of a union.
        hint: the msgspec type of its wire form.
        test: whether a Python value is of this type (an expression on `v`), to choose a union's branch.
        read: from binary.
        write: to binary.
        from_wire: to Python.
        to_wire: from Python.
        default: the source of a default in wire form, from its JSON value.
    """

    tag: str
    hint: str
    test: str
    read: Statements
    write: Statements
    from_wire: Convert = same
    to_wire: Convert = same
    default: Callable[[Any], str] = repr


def call(function: str, *arguments: object) -> Convert:
    """A call with the value as its first argument."""
    tail = "".join(f", {argument}" for argument in arguments)
    return lambda expression: f"{function}({expression}{tail})"


def indented(lines: list[str]) -> list[str]:
    """The lines of a block."""
    return [f"    {line}" for line in lines]


def read_number(target: str, tail: str = "long_tail") -> list[str]:
    """Statements that read a variable-length zig-zag integer (Avro 1.12, "Binary Encoding")."""
    return [
        "n = b[p]",
        "p += 1",
        f"if n > 127: n, p = {tail}(b, p, n)",
        f"{target} = (n >> 1) ^ -(n & 1)",
    ]


def read_length() -> list[str]:
    """Statements that read a length and put the end of what follows into `q`."""
    return [
        "n = b[p]",
        "p += 1",
        "if n > 127: n, p = long_tail(b, p, n)",
        "q = p + (n >> 1)",
        "if n & 1 or q > e: refuse_length(n)",
    ]


def read_text(target: str) -> list[str]:
    """Statements that read a string."""
    return [
        *read_length(),
        f"{target} = b[p:q].decode()",
        "p = q",
        f"if '\\0' in {target}: refuse_nul()",
    ]


def write_text(expression: str) -> list[str]:
    """Statements that write a string."""
    return [
        f"x = {expression}",
        "if type(x) is not str or '\\0' in x: to_string(x)",
        "x = x.encode()",
        "n = len(x)",
        "o(LENGTHS[n] if n < MOST_LENGTHS else long_bytes(n))",
        "o(x)",
    ]


def _read_bytes(target: str) -> list[str]:
    return [*read_length(), f"{target} = b[p:q]", "p = q"]


def _write_bytes(expression: str) -> list[str]:
    return [f"x = to_bytes({expression})", "o(long_bytes(len(x)))", "o(x)"]


def read_fixed(size: int) -> Statements:
    """Statements that read a number of bytes."""
    return lambda target: [f"q = p + {size}", "if q > e: refuse_end()", f"{target} = b[p:q]", "p = q"]


def _read_real(letter: str, size: int) -> Statements:
    return lambda target: [
        f"if p + {size} > e: refuse_end()",
        f"({target},) = unpack_{letter}(b, p)",
        f"p += {size}",
        f"if {target} - {target}: refuse_real({target})",
    ]


def _real(tag: str, letter: str, size: int, from_wire: Convert = same) -> Shape:
    return Shape(
        tag,
        "float",
        "type(v) in (int, float)",
        _read_real(letter, size),
        lambda expression: [f"o(pack_{letter}(to_{tag}({expression})))"],
        from_wire,
        call(f"to_{tag}"),
    )


INT_HINT = "Annotated[int, Meta(ge=-2147483648, le=2147483647)]"
LONG_HINT = "Annotated[int, Meta(ge=-9223372036854775808, le=9223372036854775807)]"

PLAIN = {
    "null": Shape(
        "null", "None", "v is None", lambda t: [f"{t} = None"], lambda e: [f"to_null({e})"], to_wire=call("to_null")
    ),
    "boolean": Shape(
        "boolean",
        "bool",
        "isinstance(v, bool)",
        lambda t: ["n = b[p]", "p += 1", "if n > 1: refuse_boolean(n)", f"{t} = n == 1"],
        lambda e: [f"o(b'\\1' if to_boolean({e}) else b'\\0')"],
        to_wire=call("to_boolean"),
    ),
    "int": Shape(
        "int",
        INT_HINT,
        "type(v) is int and -2147483648 <= v <= 2147483647",
        lambda t: read_number(t, "int_tail"),
        lambda e: [f"o(long_bytes(to_int({e})))"],
        to_wire=call("to_int"),
    ),
    "long": Shape(
        "long",
        LONG_HINT,
        "type(v) is int",
        read_number,
        lambda e: [f"o(long_bytes(to_long({e})))"],
        to_wire=call("to_long"),
    ),
    # JSON may have more digits, or fewer, than the float that is meant: Java writes the largest as 3.4028235E38.
    "float": _real("float", "f", 4, call("to_float")),
    "double": _real("double", "d", 8),
    "string": Shape("string", "str", "isinstance(v, str)", read_text, write_text, to_wire=call("to_string")),
    "bytes": Shape(
        "bytes",
        "str",
        "isinstance(v, bytes)",
        _read_bytes,
        _write_bytes,
        call("text_to_bytes"),
        call("bytes_to_text"),
    ),
}


def converted(base: Shape, test: str, back: Convert, to: Convert) -> Shape:
    """A shape whose Python value is converted from and to another's, which needs no conversion for the wire."""
    return Shape(
        base.tag,
        base.hint,
        test,
        lambda target: [*base.read(target), f"{target} = {back(target)}"],
        lambda expression: base.write(to(expression)),
        back,
        to,
        base.default,
    )


def only_null() -> Shape:
    """The shape of a union with no branch but null."""
    return Shape(
        "union",
        "None",
        "v is None",
        lambda target: [*read_number("q"), "if q: refuse_branch(n)", f"{target} = None"],
        lambda expression: [f"to_null({expression})", "o(b'\\0')"],
        to_wire=call("to_null"),
    )


IS_DATE = "isinstance(v, date) and not isinstance(v, datetime)"
IS_INSTANT = "isinstance(v, datetime) and v.tzinfo is not None"
IS_LOCAL = "isinstance(v, datetime) and v.tzinfo is None"


def logical(kind: str, name: str, precision: int, scale: int) -> Shape:
    """The shape of a primitive with a logical type; of the primitive, if the logical type is unknown."""
    base = PLAIN[kind]
    unit = "MILLISECOND" if name.endswith("millis") else "MICROSECOND"
    match name:
        case "uuid":
            uuid = converted(base, "isinstance(v, UUID)", call("UUID"), call("uuid_text"))
            # msgspec reads and writes UUIDs itself.
            return replace(uuid, hint="UUID", from_wire=same, to_wire=call("to_uuid"), default=call_on_repr("UUID"))
        case "decimal":
            return decimal(base, precision, scale, None)
        case "date":
            return converted(base, IS_DATE, call("from_days"), call("to_days"))
        case "time-millis" | "time-micros":
            return converted(base, "isinstance(v, time)", call("from_time", unit), call("to_time", unit))
        case "timestamp-millis" | "timestamp-micros":
            return converted(base, IS_INSTANT, call("from_timestamp", unit), call("to_timestamp", unit))
        case "local-timestamp-millis" | "local-timestamp-micros":
            return converted(base, IS_LOCAL, call("from_local_timestamp", unit), call("to_local_timestamp", unit))
        case _:
            return base


def call_on_repr(function: str) -> Callable[[Any], str]:
    """The source of a default that is made by a function from a literal."""
    return lambda value: f"{function}({value!r})"


def fixed(tag: str, size: int) -> Shape:
    """The shape of a fixed."""
    return Shape(
        tag,
        "str",
        f"isinstance(v, bytes) and len(v) == {size}",
        read_fixed(size),
        lambda e: [f"o(to_fixed({e}, {size}))"],
        call("text_to_fixed", size),
        call("fixed_to_text", size),
    )


def fixed_uuid(base: Shape) -> Shape:
    """The shape of a fixed of 16 bytes that is a UUID."""
    return _over_bytes(base, "isinstance(v, UUID)", call("uuid_from_bytes"), call("uuid_bytes"))


def decimal(base: Shape, precision: int, scale: int, size: int | None) -> Shape:
    """The shape of a decimal carried by bytes, or by a fixed of a size."""
    return _over_bytes(
        base,
        "isinstance(v, Decimal)",
        call("bytes_to_decimal", precision, scale),
        call("decimal_to_bytes", precision, scale, size),
    )


def _over_bytes(base: Shape, test: str, back: Convert, to: Convert) -> Shape:
    def from_wire(expression: str) -> str:
        return back(base.from_wire(expression))

    def to_wire(expression: str) -> str:
        return f"bytes_to_text({to(expression)})"

    return replace(converted(base, test, back, to), from_wire=from_wire, to_wire=to_wire)
