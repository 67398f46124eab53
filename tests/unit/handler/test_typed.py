"""Our named tuples beside `typing`'s, of the same fields: what one does, the other does."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from handler.domain import typed


class Ours(typed.NamedTuple):
    """A docstring."""

    name: str
    count: int = 3
    parts: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        return f"{self.name} x {self.count}"

    def more(self, by: int) -> Ours:
        return self._replace(count=self.count + by)


class Theirs(typing.NamedTuple):
    """A docstring."""

    name: str
    count: int = 3
    parts: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        return f"{self.name} x {self.count}"

    def more(self, by: int) -> Theirs:
        return self._replace(count=self.count + by)


KINDS: typing.Any = (Ours, Theirs)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_a_class_has_the_names_that_others_look_at():
    for name in ("_fields", "_field_defaults", "__match_args__", "__slots__", "__doc__"):
        assert getattr(Ours, name) == getattr(Theirs, name)
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("a",), {}),
        (("a", 1), {}),
        (("a", 1, ("b",)), {}),
        ((), {"name": "a"}),
        (("a",), {"parts": ("b",)}),
        ((), {"parts": ("b",), "count": 0, "name": "a"}),
    ],
)
def test_values_come_by_place_by_name_or_by_default(given, named):
    ours, theirs = Ours(*given, **named), Theirs(*given, **named)
    assert tuple(ours) == tuple(theirs)
    assert (ours.name, ours.count, ours.parts) == theirs
    assert type(ours) is Ours


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((), {}),
        ((), {"count": 1}),
        (("a", 1, (), "more"), {}),
        (("a", 1, (), None), {}),
        (("a",), {"name": "b"}),
        (("a",), {"other": "b"}),
        ((), {"other": "b"}),
        (("a", 1, ()), {"other": "b"}),
        (("a", 1, ()), {"count": 1}),
    ],
)
def test_what_does_not_fit_is_a_type_error(kind, given, named):
    with pytest.raises(TypeError):
        kind(*given, **named)


def test_an_instance_is_a_tuple_with_names(kind):
    made = kind("a", parts=("b",))
    assert made == ("a", 3, ("b",))
    assert hash(made) == hash(("a", 3, ("b",)))
    assert made._asdict() == {"name": "a", "count": 3, "parts": ("b",)}
    assert list(made._asdict()) == ["name", "count", "parts"]
    assert repr(made) == f"{kind.__name__}(name='a', count=3, parts=('b',))"
    assert made.shown == "a x 3"
    assert made.more(2) == kind("a", 5, ("b",))
    match made:
        case kind(name, count, parts):
            assert (name, count, parts) == made
    for copied in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert copied == made
        assert type(copied) is kind
    with pytest.raises(AttributeError):
        made.count = 4
    with pytest.raises(AttributeError):
        made.other = 4


def test_one_is_made_of_another_or_of_a_row(kind):
    made = kind._make(iter(("a", 1, ())))
    assert (type(made), made) == (kind, ("a", 1, ()))
    changed = made._replace(name="b", parts=("c",))
    assert (type(changed), changed) == (kind, ("b", 1, ("c",)))
    with pytest.raises(TypeError):
        kind._make(("a",))
    with pytest.raises(TypeError):
        kind._make(("a", 1, (), None))
    # A ValueError before Python 3.13.
    with pytest.raises((TypeError, ValueError)):
        made._replace(other=1)
