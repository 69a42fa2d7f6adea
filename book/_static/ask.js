// Questions that wait for an answer. A chapter writes them in plain Markdown, which reads well without this script:
//
//   > **Predict 1.** Where is the line?          <details>
//   >                                            <summary>Answer to prediction 1</summary>
//   > - (a) on the bisector
//   > - (b) beyond it                            **(b)** It is beyond.
//                                                </details>
//
// Here the options become radio buttons. What is chosen stays on the reader's machine; where the answer stands, and
// before the claims, the page says what it was. A quiz is written alike, as "Quiz 1." and "Answers to quiz 1", with a
// list that replies to every option; the reply to the one that is chosen is shown under it at once.

(() => {
  const QUESTION = /^(Predict|Quiz) (\d+)\.?$/;
  const ANSWER = /^(Answer to prediction|Answers to quiz) (\d+)/;
  const OPTION = /^\s*\(([a-z])\)\s*/;
  const { element } = reader;
  const save = (chosen) => reader.keep("predictions", chosen);

  /** Turn a block quote into a group of radio buttons; return its kind and number, and its options by letter. */
  function question(quote) {
    const strong = quote.querySelector("p > strong:first-child");
    const [, kind, number] = (strong && QUESTION.exec(strong.textContent)) ?? [];
    const items = [...quote.querySelectorAll("li")];
    if (!number || !items.length || !items.every((item) => OPTION.test(item.textContent))) return null;
    const options = {};
    const fieldset = element("fieldset", { className: "question" });
    fieldset.append(element("legend", {}, ...strong.parentElement.childNodes));
    for (const item of items) {
      const letter = OPTION.exec(item.textContent)[1];
      const name = `${kind === "Quiz" ? "quiz" : "prediction"}-${number}`;
      const input = element("input", { type: "radio", name, value: letter });
      options[letter] = element("span", {}, ...(item.querySelector("p") || item).childNodes);
      fieldset.append(element("label", {}, input, options[letter]));
    }
    quote.replaceWith(fieldset);
    return { kind, number, options, fieldset };
  }

  /** Return the folds that answer predictions, or quizzes, by number. */
  function folds(kind) {
    const found = {};
    for (const fold of document.querySelectorAll("details")) {
      const [, said, number] = ANSWER.exec(fold.querySelector("summary")?.textContent.trim() ?? "") ?? [];
      if (said?.endsWith(kind)) found[number] = fold;
    }
    return found;
  }

  function answers() {
    const found = {};
    for (const [number, fold] of Object.entries(folds("prediction"))) {
      const right = OPTION.exec(fold.querySelector("strong")?.textContent ?? "")?.[1];
      if (right) found[number] = { fold, right };
    }
    return found;
  }

  /** Let every question of a quiz reply, in the place of the fold with all replies, which remains for print. */
  function quiz(asked, chosen) {
    const replies = folds("quiz");
    for (const { number, fieldset } of asked.filter(
      ({ kind, number }) => kind === "Quiz" && replies[number],
    )) {
      const texts = {};
      for (const item of replies[number].querySelectorAll("li")) {
        const letter = OPTION.exec(item.textContent)?.[1];
        if (letter) texts[letter] = (item.querySelector("p") || item).cloneNode(true).childNodes;
      }
      const told = element("p", { className: "reply", role: "status" });
      const name = `quiz ${number}`;
      replies[number].hidden = true;
      replies[number].after(told);

      function show() {
        told.replaceChildren(...[...(texts[chosen[name]] ?? [])].map((node) => node.cloneNode(true)));
        for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === chosen[name];
      }

      fieldset.addEventListener("change", (event) => {
        chosen[name] = event.target.value;
        save(chosen);
        show();
      });
      show();
    }
  }

  /** Say in words what was predicted and what is so; formulas are copied as they are drawn. */
  function verdict({ options }, letter, right) {
    const [said, so] = [letter, right].map((key) => options[key]?.cloneNode(true) ?? "");
    if (!letter) return ["You have not predicted. It is ", so];
    return letter === right ? ["You predicted ", said, ": right."] : ["You predicted ", said, ". It is ", so];
  }

  function start() {
    const chosen = reader.done("predictions");
    const told = answers();
    const asked = [...document.querySelectorAll("article blockquote")].map(question).filter(Boolean);
    if (asked.length) reader.keep("asked", asked.length);
    quiz(asked, chosen);
    const settled = asked.filter(({ kind, number }) => kind === "Predict" && told[number]);
    if (!settled.length) return;
    const list = element("ol");
    const again = element("button", { type: "button", className: "again" }, "Predict again");
    const summary = element("section", { className: "predictions" });
    summary.append(element("h2", {}, "Your predictions"), list, again);
    (document.querySelector("#what-you-can-now-claim") ?? told[settled.at(-1).number].fold).before(summary);

    function show() {
      const right = settled.filter(({ number }) => chosen[number] === told[number].right).length;
      summary.querySelector("h2").textContent = `Your predictions: ${right} of ${settled.length} right`;
      list.replaceChildren();
      for (const one of settled) {
        const { fold, right } = told[one.number];
        const letter = chosen[one.number];
        list.append(element("li", {}, ...verdict(one, letter, right)));
        fold.querySelector(".verdict")?.remove();
        if (letter) {
          const line = element("p", { className: "verdict" }, ...verdict(one, letter, right));
          fold.querySelector("summary").after(line);
        }
        for (const input of one.fieldset.querySelectorAll("input")) input.checked = input.value === letter;
      }
    }

    for (const { number, fieldset } of settled) {
      fieldset.addEventListener("change", (event) => {
        chosen[number] = event.target.value;
        save(chosen);
        show();
      });
    }
    again.addEventListener("click", () => {
      for (const { number } of settled) delete chosen[number];
      save(chosen);
      show();
    });
    show();
  }

  reader.whenRead(start);
})();
