// A formula that is too wide for the page scrolls in its own box, and the keyboard reaches it then, and only then.

(() => {
  const boxes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });

  function start() {
    for (const box of document.querySelectorAll(".formula")) boxes.observe(box);
  }

  reader.whenRead(start);
})();
