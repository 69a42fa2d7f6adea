// A button that copies a block of code, put beside it when it comes near; what a click does is sphinx-copybutton's.

(() => {
  function put(code, number) {
    const [className, type, innerHTML] = ["copybtn o-tooltip--left", "button", iconCopy];
    const button = reader.element("button", { className, type, innerHTML });
    code.id ||= `codecell${number}`;
    Object.assign(button.dataset, { tooltip: "Copy", clipboardTarget: `#${code.id}` });
    code.after(button);
  }

  function start() {
    const blocks = [...document.querySelectorAll("div.highlight pre")];
    const near = new IntersectionObserver(
      (entries) => {
        for (const { target } of entries.filter(({ isIntersecting }) => isIntersecting)) {
          near.unobserve(target);
          put(target, blocks.indexOf(target));
        }
      },
      { rootMargin: "100%" },
    );
    for (const block of blocks) near.observe(block);
  }

  reader.whenRead(start);
})();
