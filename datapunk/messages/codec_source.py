"""Turns a schema into Python source that converts values: what `datapunk.messages.codec` compiles.

For each record, wide union, enum, array and map this writes a class or functions; what a single type is like in
each form is in `datapunk.messages.codec_shapes`. Names of records, fields and symbols get into the source: they're
those of a schema in normal form, checked by `datapunk.messages.grammar`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from datapunk.messages import codec_shapes as shapes
from datapunk.messages.binary_values import MAX_NESTING
from datapunk.messages.codec_shapes import PLAIN, Convert, Shape, Statements, indented, same
from datapunk.messages.python_names import python_name

Avro = Any  # a schema in normal form


@dataclass
class SourceWriter:
    """Writes the module for one schema.

    Args:
        classes: Python classes of named types, by full name; records and enums that have none get one made.
        is_recursive: whether a record of the schema can be within itself.

    Attributes:
        lines: the source of classes, and of what converts between Avro JSON and Python objects.
        binary: the source of what reads and writes Avro binary.
        parts: the source of each record's conversions field by field.
        used: names in the source that stand for given classes, with the classes.
    """

    classes: Mapping[str, type[Any]]
    is_recursive: bool
    lines: list[str] = field(default_factory=list[str])
    binary: list[str] = field(default_factory=list[str])
    parts: list[str] = field(default_factory=list[str])
    used: dict[str, type[Any]] = field(default_factory=dict[str, Any])
    _named: dict[str, Shape] = field(default_factory=dict[str, Shape])
    _numbers: int = 0

    def shape(self, avro: Avro) -> Shape:
        """The shape of a schema in normal form; writes what it needs into the source."""
        if isinstance(avro, str):
            return PLAIN.get(avro) or self._named[avro]
        if isinstance(avro, list):
            return self._union(cast("list[Avro]", avro))
        node = cast("dict[str, Any]", avro)
        match node["type"]:
            case "record":
                return self._record(node)
            case "enum":
                return self._enum(node)
            case "fixed":
                return self._fixed(node)
            case "array":
                return self._array(self.shape(node["items"]))
            case "map":
                return self._map(self.shape(node["values"]))
            case kind:
                return shapes.logical(kind, node["logicalType"], node.get("precision", 0), node.get("scale", 0))

    @property
    def _parameter(self) -> str:
        return ", d=0" if self.is_recursive else ""

    @property
    def _same_depth(self) -> str:
        return ", d" if self.is_recursive else ""

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _function(self, head: str, body: list[str]) -> None:
        name, arguments = head.removesuffix(")").split("(")
        lines = self.binary if name.endswith(("_read", "_write")) else self.lines
        lines += [f"def {name}({arguments}{self._parameter}):", *indented(body)]

    def _functions(self, number: int, kind: str) -> tuple[Statements, Statements, Convert, Convert]:
        """A shape's conversions, as calls of functions that are still to be written."""
        name, deeper = f"{kind}{number}", ", d + 1" if self.is_recursive and kind == "record" else self._same_depth
        return (
            lambda target: [f"{target}, p = {name}_read(b, p{deeper})"],
            lambda expression: [f"{name}_write({expression}, o{deeper})"],
            lambda expression: f"{name}_from_wire({expression}{deeper})",
            lambda expression: f"{name}_to_wire({expression}{deeper})",
        )

    def _record(self, node: dict[str, Any]) -> Shape:
        name, number = str(node["name"]), self._number()
        wire, python = f"Wire{number}", f"Python{number}"

        def default(value: dict[str, Any]) -> str:
            parts = (f"f{i}={of.default(value[item['name']])}" for i, item, _, of in fields)
            return f"{wire}({', '.join(parts)})"

        shape = Shape(name, wire, f"isinstance(v, {python})", *self._functions(number, "record"), default=default)
        self._named[name] = shape  # before the fields: a record may contain itself
        fields = [
            (index, item, python_name(item["name"]), self.shape(item["type"]))
            for index, item in enumerate(cast("list[dict[str, Any]]", node["fields"]))
        ]
        self.lines.append(_wire_class(wire, {f"f{i}": item["name"] for i, item, _, _ in fields}))
        self.lines += (
            ["    pass"]
            if not fields
            else [
                f"    f{i}: {of.hint}{_wire_default(of, item['default']) if 'default' in item else ''}"
                for i, item, _, of in fields
            ]
        )
        given = self.classes.get(name)
        if given is not None:
            self.used[python] = given
        else:
            self.lines.append(f"class {python}(Struct, frozen=True, kw_only=True):")
            self.lines += [f"    {attribute}: Any" for _, _, attribute, _ in fields] or ["    pass"]
        check = [f"if d > {MAX_NESTING}: refuse_depth()"] if self.is_recursive else []
        from_wire = ", ".join(f"{a}={of.from_wire(f'w.f{i}')}" for i, _, a, of in fields)
        to_wire = ", ".join(f"f{i}={of.to_wire(f'w.{a}')}" for i, _, a, of in fields)
        read = [line for i, _, _, of in fields for line in of.read(f"v{i}")]
        write = [line for _, _, a, of in fields for line in of.write(f"w.{a}")]
        made = ", ".join(f"{a}=v{i}" for i, _, a, _ in fields)
        self._function(f"record{number}_from_wire(w)", [*check, f"return {python}({from_wire})"])
        self._function(f"record{number}_to_wire(w)", [*check, f"return {wire}({to_wire})"])
        self._function(f"record{number}_read(b, p)", [*check, "e = len(b)", *read, f"return {python}({made}), p"])
        self._function(f"record{number}_write(w, o)", [*check, *write, "return"])
        for direction, source in (("from_wire", "w.f{i}"), ("to_wire", "w.{a}")):
            parts = [
                f"({item['name']!r}, lambda w{self._parameter}: {getattr(of, direction)(source.format(i=i, a=a))}), "
                for i, item, a, of in fields
            ]
            self.parts.append(f"record{number}_{direction}_fields = ({''.join(parts)})")
        return shape

    def _enum(self, node: dict[str, Any]) -> Shape:
        name, python = str(node["name"]), f"Enum{self._number()}"
        given = self.classes.get(name)
        if given is not None:
            self.used[python] = given
        else:
            # Symbols like `mro` can't be names of members.
            members = {f"s{index}": symbol for index, symbol in enumerate(node["symbols"])}
            self.lines.append(f"{python} = StrEnum({name.rpartition('.')[2]!r}, {members!r})")
        self.lines += [
            f"{python}_members = tuple(map({python}, {node['symbols']!r}))",
            f"{python}_indexes = {{member: long_bytes(index) for index, member in enumerate({python}_members)}}",
        ]
        shape = Shape(
            name,
            python,
            f"isinstance(v, {python})",
            lambda target: [
                *shapes.read_number("q"),
                f"if not 0 <= q < {len(node['symbols'])}: refuse_symbol(n)",
                f"{target} = {python}_members[q]",
            ],
            lambda expression: [f"o({python}_indexes[{python}({expression})])"],
            to_wire=shapes.call(python),
            default=shapes.call_on_repr(python),
        )
        self._named[name] = shape
        return shape

    def _fixed(self, node: dict[str, Any]) -> Shape:
        shape = shapes.fixed(node["name"], node["size"])
        match node.get("logicalType"):
            case "decimal":
                shape = shapes.decimal(shape, node["precision"], node["scale"], node["size"])
            case "uuid":
                shape = shapes.fixed_uuid(shape)
            case _:
                pass
        self._named[node["name"]] = shape
        return shape

    def _array(self, item: Shape) -> Shape:
        functions = self._container("array", item, "v = []", [], "v.append(i)", "for i in w:", [])
        return Shape(
            "array",
            f"list[{item.hint}]",
            "isinstance(v, (list, tuple))",
            *functions,
            from_wire=_each_item(item.from_wire),
            to_wire=_each_item(item.to_wire),
            default=lambda value: f"[{', '.join(map(item.default, value))}]",
        )

    def _map(self, item: Shape) -> Shape:
        read_key, write_key = shapes.read_text("k"), shapes.write_text("k")
        functions = self._container("map", item, "v = {}", read_key, "v[k] = i", "for k, i in w.items():", write_key)

        def default(value: dict[str, Any]) -> str:
            return "{" + ", ".join(f"{key!r}: {item.default(each)}" for key, each in value.items()) + "}"

        return Shape(
            "map",
            f"dict[str, {item.hint}]",
            "isinstance(v, dict)",
            *functions,
            from_wire=_each_value(item.from_wire, "k"),
            to_wire=_each_value(item.to_wire, "to_string(k)"),
            default=default,
        )

    def _container(
        self, kind: str, item: Shape, start: str, read_key: list[str], add: str, loop: str, write_key: list[str]
    ) -> tuple[Statements, Statements]:
        """Write the functions that read and write blocks of items; they're the shape's `read` and `write`."""
        number = self._number()
        self._function(
            f"{kind}{number}_read(b, p)",
            [
                "e = len(b)",
                start,
                "while True:",
                "    c, p = count_block(b, p)",
                "    if not c: return v, p",
                "    for _ in range(c):",
                *indented(indented([*read_key, *item.read("i"), add])),
            ],
        )
        self._function(
            f"{kind}{number}_write(w, o)",
            [
                "if w:",
                "    o(long_bytes(len(w)))",
                f"    {loop}",
                *indented(indented([*write_key, *item.write("i")])),
                "o(b'\\0')",
            ],
        )
        read, write, _, _ = self._functions(number, kind)
        return read, write

    def _union(self, branches: list[Avro]) -> Shape:
        made = [self.shape(branch) for branch in branches]
        others = [shape for shape in made if shape.tag != "null"]
        if not others:
            return shapes.only_null()
        number = self._number()
        wire = f"Union{number}"
        self.lines.append(_wire_class(wire, {f"b{index}": shape.tag for index, shape in enumerate(others)}))
        optional = " | UnsetType = UNSET" if len(others) > 1 else ""
        self.lines += [f"    b{index}: {shape.hint}{optional}" for index, shape in enumerate(others)]
        is_nullable = len(others) < len(made)

        def default(value: Any) -> str:
            return f"{wire}(b0={made[0].default(value)})" if made[0].tag != "null" else "None"

        shape = Shape(
            "union",
            f"{wire} | None" if is_nullable else wire,
            "True",
            *self._functions(number, "union"),
            default=default,
        )
        if len(others) == 1:
            return self._optional(shape, made, wire)
        self._union_functions(number, wire, made)
        return shape

    @staticmethod
    def _optional(shape: Shape, made: list[Shape], wire: str) -> Shape:
        """A union of one type, or of null and one type: as expressions, without functions."""
        tags = [each.tag for each in made]
        null = tags.index("null") if "null" in tags else -1
        index = next(index for index, tag in enumerate(tags) if tag != "null")
        only = made[index]

        def unless_none(convert: Convert) -> Convert:
            if null < 0:
                return convert
            return lambda expression: f"(None if {expression} is None else {convert(expression)})"

        def read(target: str) -> list[str]:
            nothing = [f"elif n == {null * 2}: {target} = None"] if null >= 0 else []
            return [
                "n = b[p]",
                "p += 1",
                f"if n == {index * 2}:",
                *indented(only.read(target)),
                *nothing,
                "else: refuse_branch(n)",
            ]

        def write(expression: str) -> list[str]:
            some = [f"o({bytes([index * 2])!r})", *only.write(expression)]
            if null < 0:
                return some
            return [f"if {expression} is None: o({bytes([null * 2])!r})", "else:", *indented(some)]

        from_wire: Convert = lambda expression: only.from_wire(f"{expression}.b0")  # noqa: E731
        to_wire: Convert = lambda expression: f"{wire}(b0={only.to_wire(expression)})"  # noqa: E731
        return replace(shape, read=read, write=write, from_wire=unless_none(from_wire), to_wire=unless_none(to_wire))

    def _union_functions(self, number: int, wire: str, made: list[Shape]) -> None:
        others = [(index, shape) for index, shape in enumerate(made) if shape.tag != "null"]
        null = next((index for index, shape in enumerate(made) if shape.tag == "null"), None)
        none_is_none = [] if null is None else ["if v is None: return None"]
        from_wire, to_wire, write, read = list(none_is_none), list(none_is_none), list[str](), list[str]()
        from_wire.append("found = []")
        for position, (_, shape) in enumerate(others):
            from_wire.append(f"if v.b{position} is not UNSET: found.append({shape.from_wire(f'v.b{position}')})")
        from_wire += ["if len(found) != 1: raise ValueError('a union has exactly one branch')", "return found[0]"]
        if null is not None:
            write += ["if v is None:", f"    o(long_bytes({null}))", "    return"]
        for position, (index, shape) in sorted(enumerate(others), key=lambda each: _rank(each[1][1])):
            to_wire.append(f"if {shape.test}: return {wire}(b{position}={shape.to_wire('v')})")
            write += [f"if {shape.test}:", *indented([f"o(long_bytes({index}))", *shape.write("v"), "return"])]
        refusal = "raise ValueError(f'{v!r} fits no branch of the union')"
        read += ["e = len(b)", *shapes.read_number("q")]
        for index, shape in enumerate(made):
            read += [f"if q == {index}:", *indented([*shape.read("v"), "return v, p"])]
        self._function(f"union{number}_from_wire(v)", from_wire)
        self._function(f"union{number}_to_wire(v)", [*to_wire, refusal])
        self._function(f"union{number}_read(b, p)", [*read, "refuse_branch(n)"])
        self._function(f"union{number}_write(v, o)", [*write, refusal])


def _wire_class(wire: str, names: dict[str, str]) -> str:
    return f"class {wire}(Struct, forbid_unknown_fields=True, kw_only=True, rename={names!r}):"


def _wire_default(of: Shape, value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return f" = {of.default(value)}" if not of.hint.startswith("Union") or value is None else _factory(of, value)
    return _factory(of, value)


def _factory(of: Shape, value: Any) -> str:
    return f" = field(default_factory=lambda: {of.default(value)})"


def _rank(shape: Shape) -> int:
    """The order in which branches are tried: the particular before the general."""
    general = ("int", "long", "float", "double", "bytes", "string", "array", "map")
    if shape.tag not in general or (shape.tag in PLAIN and shape.test != PLAIN[shape.tag].test):
        return -1
    return general.index(shape.tag)


def _each_item(convert: Convert) -> Convert:
    return same if convert("i") == "i" else lambda expression: f"[{convert('i')} for i in {expression}]"


def _each_value(convert: Convert, key: str) -> Convert:
    if convert("i") == "i" and key == "k":
        return same
    return lambda expression: f"{{{key}: {convert('i')} for k, i in {expression}.items()}}"
