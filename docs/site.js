// What can be moved sideways (long lines, wide tables) can be reached and moved with the keyboard, too.
addEventListener("load", () => {
  document.querySelectorAll("pre > code, .md-typeset__scrollwrap").forEach(each => { each.tabIndex = 0; });
});
