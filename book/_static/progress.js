// What a reader has answered and solved, on this machine alone: beside each chapter in the table of contents, and on the
// front page, where it can be saved as a file and forgotten. ask.js and solved.js keep it, and how much a page has of it.

(() => {
  const { element } = reader;
  const KINDS = Object.entries(reader.DONE).flatMap(([kind, { counted }]) => [kind, counted]);

  function kept() {
    try {
      return Object.keys(localStorage).filter((key) => KINDS.includes(key.split(" ")[0]));
    } catch {
      return [];
    }
  }

  /** Return how many questions and exercises of a page are done, of how many; nothing for one that was not opened. */
  function progress(page) {
    const made = { done: 0, of: 0 };
    for (const [kind, { counted }] of Object.entries(reader.DONE)) {
      const of = reader.kept(counted, page);
      if (!Number.isInteger(of) || of < 1) continue;
      made.done += Math.min(of, Object.keys(reader.done(kind, page)).length);
      made.of += of;
    }
    return made;
  }

  const told = ({ done, of }) => `: ${done} of ${of} questions and exercises done`;
  const pageOf = (link) => new URL(link.href, location.href).pathname.split("/book/").pop();

  function inContents() {
    for (const link of document.querySelectorAll("nav.bd-links a.reference.internal")) {
      link.querySelector(".progress-made")?.remove();
      const made = progress(pageOf(link));
      if (!made.done) continue;
      const mark = element("span", { className: "progress-made" }, ` ${made.done}/${made.of}`);
      mark.setAttribute("aria-label", told(made));
      mark.setAttribute("role", "img");
      link.append(mark);
    }
  }

  function save() {
    const all = Object.fromEntries(kept().map((key) => [key, reader.kept(...key.split(" "))]));
    const file = new Blob([`${JSON.stringify(all, null, 1)}\n`], { type: "application/json" });
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
      if (!made.done) continue;
      const title = link.cloneNode(true);
      title.querySelector(".progress-made")?.remove();
      list.append(element("li", {}, title, told(made)));
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
    const where = element(
      "p",
      {},
      "It is kept on this machine, and nowhere else. ",
      buttons[0],
      " ",
      buttons[1],
    );
    place.append(element("h2", {}, "Your progress"), list, where);
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
  reader.whenRead(show);
})();
