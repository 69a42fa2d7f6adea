// On paper the answers to predictions and quizzes stand at the end of their chapter, open.

(() => {
  const ANSWER = /^Answers? to (prediction|quiz) \d+/;
  const CHAPTER = "article > section, .toctree-wrapper > section";

  function element(name, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  }

  function gather() {
    scatter();
    const found = new Map();
    for (const fold of document.querySelectorAll(`details`)) {
      const title = fold.querySelector("summary")?.textContent.trim() ?? "";
      const chapter = fold.closest(CHAPTER);
      if (!chapter || !ANSWER.test(title)) continue;
      fold.classList.add("answered-below");
      const told = [...fold.children].filter((each) => !each.matches("summary, .verdict"));
      const copies = told.map((each) => each.cloneNode(true));
      if (!found.has(chapter)) found.set(chapter, []);
      found.get(chapter).push(element("div", { className: "answer" }, element("h4", {}, title), ...copies));
    }
    for (const [chapter, answers] of found) {
      chapter.append(element("section", { className: "answers" }, element("h3", {}, "Answers"), ...answers));
    }
  }

  function scatter() {
    for (const section of document.querySelectorAll("section.answers")) section.remove();
    for (const fold of document.querySelectorAll(".answered-below")) fold.classList.remove("answered-below");
  }

  addEventListener("beforeprint", gather);
  addEventListener("afterprint", scatter);
})();
