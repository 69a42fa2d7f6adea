// What a reader has answered, on this machine alone: beside each chapter in the table of contents, and on the front
// page, where it can be saved as a file and forgotten. ask.js keeps the answers, and how many questions a page has.

(() => {
  const KINDS = ["predictions", "asked"];

  function stored(kind, page) {
    try {
      return JSON.parse(localStorage.getItem(`${kind} ${page}`));
    } catch {
      return null;
    }
  }

  function kept() {
    try {
      return Object.keys(localStorage).filter((key) => KINDS.includes(key.split(" ")[0]));
    } catch {
      return [];
    }
  }

  /** Return how many questions of a page are answered, of how many; nothing for a page that was not opened. */
  function progress(page) {
    const asked = stored("asked", page);
    if (!Number.isInteger(asked) || asked < 1) return null;
    const letters = Object.values(stored("predictions", page) ?? {}).filter((each) => /^[a-z]$/.test(each));
    const answered = Math.min(asked, letters.length);
    return { answered, asked };
  }

  function element(name, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  }

  const pageOf = (link) => new URL(link.href, location.href).pathname.split("/book/").pop();

  function inContents() {
    for (const link of document.querySelectorAll("nav.bd-links a.reference.internal")) {
      link.querySelector(".progress-made")?.remove();
      const made = progress(pageOf(link));
      if (!made?.answered) continue;
      const mark = element("span", { className: "progress-made" }, ` ${made.answered}/${made.asked}`);
      mark.setAttribute("aria-label", `: ${made.answered} of ${made.asked} questions answered`);
      mark.setAttribute("role", "img");
      link.append(mark);
    }
  }

  function save() {
    const told = Object.fromEntries(kept().map((key) => [key, stored(...key.split(" "))]));
    const file = new Blob([`${JSON.stringify(told, null, 1)}\n`], { type: "application/json" });
    const link = element("a", { href: URL.createObjectURL(file), download: "my-progress.json" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function onTheFrontPage() {
    const place = document.querySelector("#your-progress");
    if (!place) return;
    const links = [...document.querySelectorAll("nav.bd-links a.reference.internal")];
    const list = element("ul");
    for (const link of links) {
      const made = progress(pageOf(link));
      if (!made?.answered) continue;
      const title = link.cloneNode(true);
      title.querySelector(".progress-made")?.remove();
      list.append(element("li", {}, title, `: ${made.answered} of ${made.asked} questions answered`));
    }
    place.replaceChildren();
    if (!list.children.length) return;
    const buttons = [
      ["Save it as a file", save],
      ["Forget it all", forget],
    ].map(([name, action]) => {
      const button = element("button", { type: "button", className: "again" }, name);
      button.addEventListener("click", action);
      return button;
    });
    const told = element(
      "p",
      {},
      "It is kept on this machine, and nowhere else. ",
      buttons[0],
      " ",
      buttons[1],
    );
    place.append(element("h2", {}, "Your progress"), list, told);
  }

  function forget() {
    for (const key of kept()) localStorage.removeItem(key);
    show();
  }

  function show() {
    inContents();
    onTheFrontPage();
  }

  document.addEventListener("answered", show);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
  else show();
})();
