"""`NamedTuple` and `Protocol` without what `typing`'s cost init: a named tuple of its takes 0.2 CPU-ms to make.

The rule it keeps: to the type checker they are `typing`'s. While the code runs, a named tuple does what `typing`'s does
in a module with `from __future__ import annotations`, and a protocol is a class that nobody looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple", "Protocol"]

if TYPE_CHECKING:
    from typing import NamedTuple, Protocol
else:
    from collections import _tuplegetter

    Protocol = object

    class _Row(tuple):
        __slots__ = ()

        def __new__(cls, /, *values, **named):
            # Code made for each class, as `collections.namedtuple` makes it, is most of its cost.
            if named or len(values) != len(cls._fields):
                values = _in_order(cls, values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _make(cls, iterable):
            made = tuple.__new__(cls, iterable)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields: {len(made)} given")
            return made

        def _replace(self, /, **named):
            made = tuple.__new__(type(self), map(named.pop, self._fields, self))
            if named:
                raise TypeError(f"{type(self).__name__} has no {', '.join(named)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({shown})"

        def __getnewargs__(self):
            return tuple(self)

    class _Meta(type):
        def __new__(cls, name, bases, body):
            fields = tuple(body["__annotations__"])
            body["_fields"] = body["__match_args__"] = fields
            body["_field_defaults"] = {field: body[field] for field in fields if field in body}
            body["__slots__"] = ()
            for place, field in enumerate(fields):
                body[field] = _tuplegetter(place, "")
            return type(name, (_Row,), body)

    def _in_order(cls, values, named):
        fields = cls._fields
        given = {**cls._field_defaults, **dict(zip(fields, values, strict=False)), **named}
        is_once = len(values) <= len(fields) and named.keys().isdisjoint(fields[: len(values)])
        # Not by searching the fields: an item has over forty.
        if not is_once or len(given) != len(fields):
            raise TypeError(f"{cls.__name__} takes {', '.join(fields)}, each once: {len(values)} and {[*named]} given")
        try:
            return [given[name] for name in fields]
        except KeyError as error:
            raise TypeError(f"{cls.__name__} has no value for {error}") from None

    NamedTuple = type.__new__(_Meta, "NamedTuple", (), {})
