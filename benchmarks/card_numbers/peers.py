"""The two peers, each alone: presidio's CreditCardRecognizer and scrubadub's CreditCardDetector.

It runs under the interpreter of the peers' own environment, which has nothing of ours: texts come as JSON lines, spans
go as JSON lines. The rule it keeps: of each library only the modules that find card numbers are imported, since their
packages import spaCy and scikit-learn (650 MB); those modules are used as they are.
"""

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType

Spans = list[tuple[int, int]]


def _bare_package(name: str) -> ModuleType:
    """A package that finds its modules and whose own `__init__`, which imports everything, is not run."""
    spec = find_spec(name) if "." not in name else None
    parent, _, leaf = name.rpartition(".")
    paths = spec.submodule_search_locations if spec else [f"{sys.modules[parent].__path__[0]}/{leaf}"]
    package = ModuleType(name)
    package.__path__ = list(paths or ())
    sys.modules[name] = package
    return package


def presidio() -> Callable[[str], Spans]:
    package = _bare_package("presidio_analyzer")
    # In the order in which they need one another, as the package's own `__init__` has it.
    for module, name in (
        ("analysis_explanation", "AnalysisExplanation"),
        ("recognizer_result", "RecognizerResult"),
        ("entity_recognizer", "EntityRecognizer"),
        ("local_recognizer", "LocalRecognizer"),
        ("pattern", "Pattern"),
        ("pattern_recognizer", "PatternRecognizer"),
    ):
        setattr(package, name, getattr(importlib.import_module(f"presidio_analyzer.{module}"), name))
    _bare_package("presidio_analyzer.predefined_recognizers")
    _bare_package("presidio_analyzer.predefined_recognizers.generic")
    alone = importlib.import_module("presidio_analyzer.predefined_recognizers.generic.credit_card_recognizer")
    recognizer = alone.CreditCardRecognizer()
    return lambda text: [(each.start, each.end) for each in recognizer.analyze(text, ["CREDIT_CARD"])]


def scrubadub() -> Callable[[str], Spans]:
    _, filth, _ = [_bare_package(name) for name in ("scrubadub", "scrubadub.filth", "scrubadub.detectors")]
    for module, name in (("base", "Filth"), ("credit_card", "CreditCardFilth")):
        setattr(filth, name, getattr(importlib.import_module(f"scrubadub.filth.{module}"), name))
    detector = importlib.import_module("scrubadub.detectors.credit_card").CreditCardDetector()
    # Its scrubber asks `is_valid`, Luhn's rule, of all that a detector finds.
    return lambda text: [(each.beg, each.end) for each in detector.iter_filth(text) if each.is_valid()]


def main() -> None:
    """First a line with the versions, then a line of spans by peer for each line of text."""
    versions = {name: importlib.metadata.version(name) for name in ("presidio-analyzer", "scrubadub")}
    peers = {"presidio": presidio(), "scrubadub": scrubadub()}
    print(json.dumps(versions))
    for line in sys.stdin:
        text = json.loads(line)
        print(json.dumps({name: find(text) for name, find in peers.items()}))


if __name__ == "__main__":
    main()
