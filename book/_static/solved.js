// A box beside each exercise that has a solution: what a notebook's checker said, the page cannot see. Readers tick it,
// and it stays on their machine. progress.js counts it.

reader.whenRead(() => {
  const { element } = reader;
  const solved = reader.done("solved");
  const links = document.querySelectorAll('article p:has(> strong:first-child) > a[href*="solutions/"]');
  for (const link of links) {
    const name = link.hash.slice(1);
    const line = link.closest("p");
    const box = element("input", { type: "checkbox", checked: solved[name] === true });
    box.setAttribute("aria-label", `I solved it: ${line.querySelector("strong").textContent}`);
    box.addEventListener("change", () => {
      if (box.checked) solved[name] = true;
      else delete solved[name];
      reader.keep("solved", solved);
    });
    line.append(" ", element("label", { className: "solved" }, box, " I solved it"));
  }
  if (links.length) reader.keep("exercises", links.length);
});
