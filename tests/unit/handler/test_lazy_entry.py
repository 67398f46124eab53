"""Entry points are made when first asked for: once, with the garbage collector at rest, and again after a failure."""

from __future__ import annotations

import gc
import importlib
import logging
import os

import pytest

from handler import lazy_entry


@pytest.fixture
def module():
    yield {"__name__": "some.entry"}
    gc.unfreeze()


def test_an_entry_is_made_once_from_the_environment_and_what_it_made_is_never_collected(module):
    seen = []

    def create(environment):
        seen.append((environment, gc.isenabled()))
        return object()

    gc.unfreeze()
    made = lazy_entry(module, create)("lambda_handler")
    assert module["lambda_handler"] is made
    assert seen == [(os.environ, False)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_an_entry_whose_init_failed_is_tried_again_and_the_collector_is_on(module):
    answers = iter([ValueError("a wrong setting"), "made"])

    def create(_environment):
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    entry = lazy_entry(module, create)
    with pytest.raises(ValueError, match="a wrong setting"):
        entry("lambda_handler")
    assert gc.isenabled()
    assert "lambda_handler" not in module
    assert entry("lambda_handler") == "made"


@pytest.fixture
def own_logger():
    # An entry gives it a handler of its own, past which no test would read lines any more.
    logger = logging.getLogger("handler")
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.mark.usefixtures("own_logger")
@pytest.mark.parametrize("name", ["handler", "handler.workflow", "handler.reconcile_function", "handler.approval_page"])
def test_every_entry_module_reads_its_settings_at_first_use_and_has_no_other_attribute(name, monkeypatch):
    entry = importlib.import_module(name)
    monkeypatch.setenv("STRESS_MODE", "neither")
    monkeypatch.delitem(vars(entry), "lambda_handler", raising=False)
    with pytest.raises(Exception, match="STRESS_MODE"):
        entry.lambda_handler  # noqa: B018
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        entry.nothing  # noqa: B018
