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
