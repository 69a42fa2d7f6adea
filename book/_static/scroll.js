// What is too wide or too high for its box scrolls in it, and the keyboard reaches it then, and only then.

(() => {
  const boxes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const isHigher = target.scrollHeight > target.clientHeight;
      const scrolls =
        target.scrollWidth > target.clientWidth ||
        (isHigher && getComputedStyle(target).overflowY !== "hidden");
      if (scrolls) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });

  function start() {
    for (const box of document.querySelectorAll("pre, .formula, .cell_output > .output")) boxes.observe(box);
  }

  reader.whenRead(start);
})();
