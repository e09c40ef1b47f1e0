"""Turns an Avro schema into Python source that converts values: what `datapunk.messages.codec` compiles.

Three forms of a value meet here. *Python*: message classes, enums, datetimes, Decimals. *Wire*: msgspec structs
laid out like Avro's JSON encoding (unions are structs with one field a branch, bytes are text). *Datum*: plain
dicts of Avro primitives, as fastavro reads and writes them in binary. For each type of a schema this module
writes the four conversions between Python and the other two; msgspec then does the parsing in C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import Any, cast

from datapunk.errors import SchemaError
from datapunk.messages.schema import full_name

Avro = Any
Convert = Callable[[str], str]


def same(expression: str) -> str:
    """No conversion."""
    return expression


def _call(function: str, *arguments: object) -> Convert:
    tail = "".join(f", {argument}" for argument in arguments)
    return lambda expression: f"{function}({expression}{tail})"


@dataclass(frozen=True)
class Shape:
    """How one type is written in each form: source text.

    Attributes:
        tag: its name as a branch of a union.
        hint: the msgspec type of its wire form.
        test: whether a Python value is of this type (an expression on `v`), to choose a union's branch.
        default: the source of a default in wire form, from its JSON value.
    """

    tag: str
    hint: str
    test: str
    from_wire: Convert = same
    to_wire: Convert = same
    from_datum: Convert = same
    to_datum: Convert = same
    default: Callable[[Any], str] = repr
    is_record: bool = False


def branch_record(union: int, branch: int) -> str:
    """The record that stands for a branch in fastavro's eyes: of one field, which leaves the bytes as they are.

    fastavro tells which branch it read only for records.
    """
    return f"datapunk.union{union}_branch{branch}"


def binary_schema(avro: Avro) -> Avro:
    """The schema as fastavro gets it: without logical types, and with branches of wide unions made records."""
    return _Binary().of(avro)


class _Binary:
    def __init__(self) -> None:
        self._unions = 0
        self._records: dict[str, bool] = {}  # full name of each named type, and whether it's a record

    def of(self, avro: Avro, space: str = "") -> Avro:
        if isinstance(avro, list):
            return self._union(cast("list[Avro]", avro), space)
        if isinstance(avro, str):
            return avro if avro in PLAIN else self._full(avro, space)
        node: dict[str, Any] = {key: value for key, value in cast("dict[str, Any]", avro).items() if key not in DROPPED}
        kind = node.get("type")
        if kind in ("record", "error", "enum", "fixed"):
            name = node["name"] = full_name(node, space)
            node.pop("namespace", None)
            self._records[name] = kind in ("record", "error")
            space = name.rpartition(".")[0]
            if self._records[name]:
                node["fields"] = [
                    {"name": item["name"], "type": self.of(item["type"], space)} for item in node["fields"]
                ]
        elif kind == "array":
            node["items"] = self.of(node["items"], space)
        elif kind == "map":
            node["values"] = self.of(node["values"], space)
        elif not (isinstance(kind, str) and kind in PLAIN):
            return self.of(kind, space)
        return node

    def _full(self, name: str, space: str) -> str:
        return name if name in self._records or not space else f"{space}.{name}"

    def _union(self, branches: list[Avro], space: str) -> Avro:
        # Numbered after its parts, as SourceWriter does.
        made = [self.of(branch, space) for branch in branches]
        others = [branch for branch in made if branch != "null"]
        if not others:
            return made
        self._unions += 1
        if len(others) == 1:
            return made
        number, indexes = self._unions, iter(range(len(others)))
        return [branch if branch == "null" else self._wrap(branch, number, next(indexes)) for branch in made]

    def _wrap(self, branch: Avro, union: int, index: int) -> Avro:
        node: Any = branch
        name = node.get("name") if isinstance(branch, dict) else branch
        if self._records.get(str(name)):
            return node
        value: dict[str, Any] = {"name": "v", "type": branch}
        return {"type": "record", "name": branch_record(union, index), "fields": [value]}


DROPPED = frozenset({"logicalType", "precision", "scale", "default", "aliases", "doc"})


def _unit(logical: str) -> str:
    return "MILLISECOND" if logical.endswith("millis") else "MICROSECOND"


INT_HINT = "Annotated[int, Meta(ge=-2147483648, le=2147483647)]"
LONG_HINT = "Annotated[int, Meta(ge=-9223372036854775808, le=9223372036854775807)]"
FLOAT_HINT = "Annotated[float, Meta(ge=-3.4028234663852886e38, le=3.4028234663852886e38)]"


def _checked(tag: str, hint: str, test: str, check: str, default: Callable[[Any], str] = repr) -> Shape:
    """A primitive that is the same in each form, once it's known to fit."""
    return Shape(tag, hint, test, to_wire=_call(check), to_datum=_call(check), default=default)


def _float_default(value: Any) -> str:
    return repr(float(value))


PLAIN = {
    "null": Shape("null", "None", "v is None"),
    "boolean": _checked("boolean", "bool", "isinstance(v, bool)", "to_boolean"),
    "int": _checked("int", INT_HINT, "type(v) is int and -2147483648 <= v <= 2147483647", "to_int"),
    "long": _checked("long", LONG_HINT, "type(v) is int", "to_long"),
    "float": _checked("float", FLOAT_HINT, "type(v) in (int, float)", "to_float", _float_default),
    "double": _checked("double", "float", "type(v) in (int, float)", "to_double", _float_default),
    "string": _checked("string", "str", "isinstance(v, str)", "to_string"),
    "bytes": Shape(
        "bytes",
        "str",
        "isinstance(v, bytes)",
        _call("text_to_bytes"),
        _call("bytes_to_text"),
        same,
        _call("bytes"),
    ),
}


def _logical(kind: str, logical: str) -> Shape | None:
    hint = {"int": INT_HINT, "long": LONG_HINT}.get(kind, "")
    pair = (kind, logical)
    if pair == ("string", "uuid"):
        return Shape(
            "string",
            "UUID",
            "isinstance(v, UUID)",
            same,
            _call("to_uuid"),
            _call("UUID"),
            _call("uuid_text"),
            default=lambda v: f"UUID({v!r})",
        )
    if pair == ("int", "date"):
        to, back, test = (
            _call("to_days"),
            _call("from_days"),
            "isinstance(v, date) and not isinstance(v, datetime)",
        )
    elif pair in (("int", "time-millis"), ("long", "time-micros")):
        to, back, test = (
            _call("to_time", _unit(logical)),
            _call("from_time", _unit(logical)),
            "isinstance(v, time)",
        )
    elif kind == "long" and logical in ("timestamp-millis", "timestamp-micros"):
        to, back = _call("to_timestamp", _unit(logical)), _call("from_timestamp", _unit(logical))
        test = "isinstance(v, datetime) and v.tzinfo is not None"
    elif kind == "long" and logical in ("local-timestamp-millis", "local-timestamp-micros"):
        to, back = _call("to_local_timestamp", _unit(logical)), _call("from_local_timestamp", _unit(logical))
        test = "isinstance(v, datetime) and v.tzinfo is None"
    else:
        return None
    return Shape(kind, hint, test, back, to, back, to)


@dataclass
class SourceWriter:
    """Writes the module for one schema.

    Args:
        classes: Python classes of named types, by full name; records and enums that have none get one made.

    Attributes:
        lines: the source.
        used: names in the source that stand for given classes, with the classes.
    """

    classes: Mapping[str, type[Any]]
    lines: list[str] = field(default_factory=list[str])
    used: dict[str, type[Any]] = field(default_factory=dict[str, Any])
    _named: dict[str, Shape] = field(default_factory=dict[str, Shape])
    _unions: int = 0

    def shape(self, avro: Avro, namespace: str = "") -> Shape:
        """The shape of a schema; writes what it needs into the source.

        Raises:
            SchemaError: if the schema is of no known kind.
        """
        if isinstance(avro, str):
            if avro in PLAIN:
                return PLAIN[avro]
            for name in (avro, f"{namespace}.{avro}"):
                if name in self._named:
                    return self._named[name]
            raise SchemaError(f"there is no type {avro}")
        if isinstance(avro, list):
            return self._union(cast("list[Avro]", avro), namespace)
        node = cast("dict[str, Any]", avro)
        kind = node.get("type")
        match kind:
            case "record" | "error":
                return self._record(node, namespace)
            case "enum":
                return self._enum(node, namespace)
            case "fixed":
                return self._fixed(node, namespace)
            case "array":
                return _array(self.shape(node["items"], namespace))
            case "map":
                return _map(self.shape(node["values"], namespace))
            case str() if kind in PLAIN:
                logical = node.get("logicalType")
                if kind == "bytes" and logical == "decimal":
                    return _decimal(PLAIN["bytes"], "bytes", node, None)
                return (_logical(kind, logical) if isinstance(logical, str) else None) or PLAIN[kind]
            case _:
                return self.shape(kind, namespace)

    def _record(self, node: dict[str, Any], namespace: str) -> Shape:
        name = full_name(node, namespace)
        number = len(self._named)
        wire, python = f"Wire{number}", f"Python{number}"
        shape = Shape(
            name,
            wire,
            f"isinstance(v, {python})",
            _call(f"record{number}_from_wire"),
            _call(f"record{number}_to_wire"),
            _call(f"record{number}_from_datum"),
            _call(f"record{number}_to_datum"),
            is_record=True,
        )
        self._named[name] = shape  # before the fields: a record may contain itself
        fields = [
            (item, python_name(item["name"]), self.shape(item["type"], name.rpartition(".")[0]))
            for item in cast("list[dict[str, Any]]", node["fields"])
        ]

        def default(value: dict[str, Any]) -> str:
            values = (of.default(value.get(item["name"], item.get("default"))) for item, _, of in fields)
            return f"{wire}({', '.join(f'f{index}={value}' for index, value in enumerate(values))})"

        shape = replace(shape, default=default)
        self._named[name] = shape
        renamed = {f"f{index}": item["name"] for index, (item, _, _) in enumerate(fields)}
        self.lines.append(f"class {wire}(Struct, forbid_unknown_fields=True, kw_only=True, rename={renamed!r}):")
        self.lines.extend(self._wire_field(index, item, of) for index, (item, _, of) in enumerate(fields))
        self.lines.append(_strings("f", [of for _, _, of in fields]))
        given = self.classes.get(name)
        if given is not None:
            self.used[python] = given
        else:
            self.lines.append(f"class {python}(Struct, frozen=True, kw_only=True):")
            self.lines.extend(f"    {attribute}: Any" for _, attribute, _ in fields)
            self.lines.append("    pass")
        functions = {
            "from_wire": (python, [f"{a}={of.from_wire(f'w.f{i}')}" for i, (_, a, of) in enumerate(fields)]),
            "to_wire": (wire, [f"f{i}={of.to_wire(f'w.{a}')}" for i, (_, a, of) in enumerate(fields)]),
            "from_datum": (python, [f"{a}={of.from_datum(_key(item))}" for item, a, of in fields]),
        }
        for suffix, (target, arguments) in functions.items():
            self.lines += [f"def record{number}_{suffix}(w):", f"    return {target}({', '.join(arguments)})"]
        pairs = ", ".join(repr(item["name"]) + ": " + of.to_datum(f"w.{a}") for item, a, of in fields)
        self.lines += [f"def record{number}_to_datum(w):", f"    return {{{pairs}}}"]
        for direction, source in (("from_wire", "w.f{i}"), ("to_wire", "w.{a}")):
            parts = ", ".join(
                f"({item['name']!r}, lambda w: {getattr(of, direction)(source.format(i=i, a=a))})"
                for i, (item, a, of) in enumerate(fields)
            )
            self.lines.append(f"record{number}_{direction}_fields = ({parts}{',' if fields else ''})")
        return shape

    @staticmethod
    def _wire_field(index: int, item: dict[str, Any], of: Shape) -> str:
        if "default" not in item:
            return f"    f{index}: {of.hint}"
        return f"    f{index}: {of.hint} = field(default_factory=lambda: {of.default(item['default'])})"

    def _enum(self, node: dict[str, Any], namespace: str) -> Shape:
        name = full_name(node, namespace)
        python = f"Enum{len(self._named)}"
        given = self.classes.get(name)
        if given is not None:
            self.used[python] = given
        else:
            members = {symbol: symbol for symbol in node["symbols"]}
            self.lines.append(f"{python} = StrEnum({name.rpartition('.')[2]!r}, {members!r})")
        shape = Shape(
            name,
            python,
            f"isinstance(v, {python})",
            same,
            _call(python),
            _call(python),
            lambda expression: f"{python}({expression}).value",
            default=lambda value: f"{python}({value!r})",
        )
        self._named[name] = shape
        return shape

    def _fixed(self, node: dict[str, Any], namespace: str) -> Shape:
        name, size = full_name(node, namespace), int(node["size"])
        shape = Shape(
            name,
            "str",
            f"isinstance(v, bytes) and len(v) == {size}",
            _call("text_to_fixed", size),
            _call("fixed_to_text", size),
            same,
            lambda expression: f"text_to_bytes(fixed_to_text({expression}, {size}))",
        )
        if node.get("logicalType") == "decimal":
            shape = _decimal(shape, name, node, size)
        self._named[name] = shape
        return shape

    def _union(self, branches: list[Avro], namespace: str) -> Shape:
        shapes = [self.shape(branch, namespace) for branch in branches]
        others = [shape for shape in shapes if shape.tag != "null"]
        is_nullable = len(others) < len(shapes)
        if not others:
            return PLAIN["null"]
        number = self._unions = self._unions + 1
        wire = f"Union{number}"
        tags = {f"b{index}": shape.tag for index, shape in enumerate(others)}
        self.lines.append(f"class {wire}(Struct, forbid_unknown_fields=True, rename={tags!r}):")
        is_single = len(others) == 1
        strings = _strings("b", others)
        for index, shape in enumerate(others):
            self.lines.append(
                f"    b{index}: {shape.hint}" if is_single else f"    b{index}: {shape.hint} | UnsetType = UNSET"
            )
        self.lines.append(strings)
        hint = f"{wire} | None" if is_nullable else wire
        default = _union_default(shapes, others, wire)
        only = others[0]
        if is_single and not is_nullable:
            return Shape(
                "union",
                hint,
                "True",
                lambda e: only.from_wire(f"{e}.b0"),
                lambda e: f"{wire}(b0={only.to_wire(e)})",
                only.from_datum,
                only.to_datum,
                default,
            )
        if is_single:

            def datum(expression: str) -> str:
                return f"(None if {expression} is None else {only.to_datum(expression)})"

            return Shape(
                "union",
                hint,
                "True",
                lambda e: f"(None if {e} is None else {only.from_wire(f'{e}.b0')})",
                lambda e: f"(None if {e} is None else {wire}({only.to_wire(e)}))",
                lambda e: f"(None if {e} is None else {only.from_datum(e)})",
                datum,
                default,
            )
        self._union_functions(number, wire, others, is_nullable)
        return Shape(
            "union",
            hint,
            "True",
            _call(f"union{number}_from_wire"),
            _call(f"union{number}_to_wire"),
            _call(f"union{number}_from_datum"),
            _call(f"union{number}_to_datum"),
            default,
        )

    def _union_functions(self, number: int, wire: str, others: list[Shape], is_nullable: bool) -> None:
        lines = self.lines
        null = ["    if v is None:", "        return None"] if is_nullable else []
        lines += [f"def union{number}_from_wire(v):", *null, "    found = []"]
        for index, shape in enumerate(others):
            lines += [
                f"    if v.b{index} is not UNSET:",
                f"        found.append({shape.from_wire(f'v.b{index}')})",
            ]
        lines += [
            "    if len(found) != 1:",
            "        raise ValueError('a union has exactly one branch')",
            "    return found[0]",
        ]
        order = sorted(range(len(others)), key=lambda index: _rank(others[index]))
        for suffix in ("to_wire", "to_datum"):
            lines += [f"def union{number}_{suffix}(v):", *null]
            for index in order:
                shape = others[index]
                made = (
                    f"{wire}(b{index}={shape.to_wire('v')})"
                    if suffix == "to_wire"
                    else f"({branch_record(number, index)!r}, {{'v': {shape.to_datum('v')}}})"
                    if not shape.is_record
                    else f"({shape.tag!r}, {shape.to_datum('v')})"
                )
                lines += [f"    if {shape.test}:", f"        return {made}"]
            lines.append("    raise ValueError(f'{v!r} fits no branch of the union')")
        lines += [f"def union{number}_from_datum(v):", *null, "    tag, v = v"]
        for index, shape in enumerate(others):
            tag = shape.tag if shape.is_record else branch_record(number, index)
            value = "v" if shape.is_record else "v['v']"
            lines += [f"    if tag == {tag!r}:", f"        return {shape.from_datum(value)}"]
        lines.append("    raise ValueError(f'{tag} is no branch of the union')")


def _strings(prefix: str, shapes: list[Shape]) -> str:
    """A class attribute naming the attributes that hold strings (and not bytes in the guise of text)."""
    names = tuple(f"{prefix}{index}" for index, shape in enumerate(shapes) if shape is PLAIN["string"])
    return f"    strings: ClassVar[tuple[str, ...]] = {names!r}"


def _key(item: dict[str, Any]) -> str:
    return f"w[{item['name']!r}]"


def python_name(name: str) -> str:
    """The attribute for a field: its own name, with an underscore where Python reserves it."""
    return f"{name}_" if iskeyword(name) else name


def _rank(shape: Shape) -> int:
    """The order in which branches are tried: the particular before the general."""
    general = ("int", "long", "float", "double", "bytes", "string", "array", "map")
    return (
        general.index(shape.tag) + (0 if shape.test != PLAIN.get(shape.tag, shape).test else 100)
        if shape.tag in general
        else -1
    )


def _union_default(shapes: list[Shape], others: list[Shape], wire: str) -> Callable[[Any], str]:
    first = shapes[0]

    def default(value: Any) -> str:
        if first.tag == "null":
            return "None"
        return f"{wire}(b{others.index(first)}={first.default(value)})"

    return default


def _array(item: Shape) -> Shape:
    def each(convert: Convert) -> Convert:
        return same if convert is same else lambda e: f"[{convert('i')} for i in {e}]"

    return Shape(
        "array",
        f"list[{item.hint}]",
        "isinstance(v, (list, tuple))",
        each(item.from_wire),
        each(item.to_wire),
        each(item.from_datum),
        each(item.to_datum),
        lambda value: f"[{', '.join(map(item.default, value))}]",
    )


def _map(value_shape: Shape) -> Shape:
    def each(convert: Convert, key: str = "k") -> Convert:
        if convert is same and key == "k":
            return same
        return lambda e: f"{{{key}: {convert('i')} for k, i in {e}.items()}}"

    return Shape(
        "map",
        f"dict[str, {value_shape.hint}]",
        "isinstance(v, dict)",
        each(value_shape.from_wire),
        each(value_shape.to_wire, "to_string(k)"),
        each(value_shape.from_datum),
        each(value_shape.to_datum, "to_string(k)"),
        lambda value: "{" + ", ".join(f"{k!r}: {value_shape.default(v)}" for k, v in value.items()) + "}",
    )


def _decimal(carrier: Shape, tag: str, node: dict[str, Any], size: int | None) -> Shape:
    precision, scale = int(node["precision"]), int(node.get("scale", 0))

    def pack(e: str) -> str:
        return f"decimal_to_bytes({e}, {precision}, {scale}, {size})"

    def unpack(e: str) -> str:
        return f"bytes_to_decimal({e}, {precision}, {scale})"

    return Shape(
        tag,
        "str",
        "isinstance(v, Decimal)",
        lambda e: unpack(carrier.from_wire(e)),
        lambda e: f"bytes_to_text({pack(e)})",
        unpack,
        pack,
    )
