"""What tests ask of a page in a browser."""

from __future__ import annotations

# A script that returns each element which is cut off, or wider than its place.
OUTSIDE = """
return [...document.querySelectorAll('main *')].filter(each => {
  const box = each.getBoundingClientRect(), around = each.ownerSVGElement || document.documentElement;
  const room = around.getBoundingClientRect();
  return box.width && (box.right > room.right + 0.5 || box.left < room.left - 0.5 || box.bottom > room.bottom + 0.5)
    || each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== 'visible';
}).map(each => each.tagName + ' ' + each.textContent.slice(0, 60));
"""

# Texts of one chart that lie on one another, each pair by its words; a pixel is a matter of rounding.
COVERED = """
return [...document.querySelectorAll('svg')].flatMap(chart => {
  const texts = [...chart.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()]);
  return texts.flatMap(([one, a], place) => texts.slice(place + 1).filter(([_, b]) =>
    a.left + 1 < b.right && b.left + 1 < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom
  ).map(([other]) => `${chart.querySelector('title').textContent}: ${one} | ${other}`));
});
"""
