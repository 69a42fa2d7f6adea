// On paper the answers to predictions and quizzes stand at the end of their chapter, open, and each page has its
// chapter's title above it.

(() => {
  const ANSWER = /^Answers? to (prediction|quiz) \d+/;
  const CHAPTER = "article > section, .toctree-wrapper > section";
  const { element } = reader;

  /** Return a style sheet that writes the title of each chapter above its pages. */
  function titles() {
    const rules = [...document.querySelectorAll(CHAPTER)].map((chapter, number) => {
      const heading = chapter.querySelector("h1, h2").cloneNode(true);
      for (const link of heading.querySelectorAll(".headerlink")) link.remove();
      chapter.style.page = `chapter-${number}`;
      const title = JSON.stringify(heading.textContent.trim());
      return `@page chapter-${number} { @top-center { content: ${title}; font: 9pt sans-serif; color: #555; } }`;
    });
    return element("style", { className: "titles" }, rules.join("\n"));
  }

  function gather() {
    scatter();
    document.head.append(titles());
    const found = new Map();
    for (const fold of document.querySelectorAll(`details`)) {
      const title = fold.querySelector("summary")?.textContent.trim() ?? "";
      const chapter = fold.closest(CHAPTER);
      if (!chapter || !ANSWER.test(title)) continue;
      fold.classList.add("answered-below");
      const told = [...fold.children].filter((each) => !each.matches("summary"));
      const copies = told.map((each) => each.cloneNode(true));
      if (!found.has(chapter)) found.set(chapter, []);
      found.get(chapter).push(element("div", { className: "answer" }, element("h4", {}, title), ...copies));
    }
    for (const [chapter, answers] of found) {
      chapter.append(element("section", { className: "answers" }, element("h3", {}, "Answers"), ...answers));
    }
  }

  function scatter() {
    for (const made of document.querySelectorAll("section.answers, style.titles")) made.remove();
    for (const fold of document.querySelectorAll(".answered-below")) fold.classList.remove("answered-below");
  }

  addEventListener("beforeprint", gather);
  addEventListener("afterprint", scatter);
})();
