"""Labels of charts: each is read, wherever its line runs."""

from __future__ import annotations

import re
from itertools import combinations

from benchmarks import charts
from benchmarks.charts import Series


def test_labels_of_lines_that_run_together_lie_beside_each_other() -> None:
    sizes = [128, 256, 512, 1769]
    near = [
        Series(
            name, name, False, [(10.0 + at + shift, *[1.0 + 3 * at] * 3) for at in range(4)], [f"{s} MB" for s in sizes]
        )
        for name, shift in (("compiled", 0.0), ("pure", 0.02))
    ]
    drawn = charts.lines("Cost", near, "ms", "USD", logarithmic_x=False, logarithmic_y=False)
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="start">(\d+ MB)</text>', drawn)
    assert sorted(words for *_, words in found) == sorted(f"{size} MB" for size in sizes * 2)
    boxes = [(float(x), float(y), float(x) + 6 * len(words)) for x, y, words in found]
    for one, other in combinations(boxes, 2):
        assert one[2] < other[0] or other[2] < one[0] or abs(one[1] - other[1]) >= 11
