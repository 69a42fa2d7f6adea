// Questions that wait for an answer. A chapter writes them in plain Markdown, which reads well without this script:
//
//   > **Predict 1.** Where is the line?          <details>
//   >                                            <summary>Answer to prediction 1</summary>
//   > - (a) on the bisector
//   > - (b) beyond it                            **(b)** It is beyond.
//                                                </details>
//
// Here the options become radio buttons. What is chosen stays on the reader's machine; where the answer stands, and
// before the claims, the page says what it was.
"use strict";

(() => {
  const QUESTION = /^Predict (\d+)\.?$/;
  const ANSWER = /^Answer to prediction (\d+)/;
  const OPTION = /^\s*\(([a-z])\)\s*/;
  const key = "predictions " + location.pathname.split("/").pop();

  function load() {
    try {
      return JSON.parse(localStorage.getItem(key)) || {};
    } catch {
      return {};
    }
  }

  function save(chosen) {
    try {
      localStorage.setItem(key, JSON.stringify(chosen));
    } catch {
      // Nothing can be kept here: the choices last as long as the page.
    }
  }

  function element(name, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  }

  /** Turn a block quote into a group of radio buttons; return its number and its options by letter. */
  function question(quote) {
    const strong = quote.querySelector("p > strong:first-child");
    const number = strong && QUESTION.exec(strong.textContent)?.[1];
    const items = [...quote.querySelectorAll("li")];
    if (!number || !items.length) return null;
    const options = {};
    const fieldset = element("fieldset", { className: "question" });
    fieldset.append(element("legend", {}, ...strong.parentElement.childNodes));
    for (const item of items) {
      const letter = OPTION.exec(item.textContent)?.[1];
      if (!letter) return null;
      const input = element("input", { type: "radio", name: `prediction-${number}`, value: letter });
      const text = element("span", {}, ...(item.querySelector("p") || item).childNodes);
      options[letter] = text.textContent.trim();
      fieldset.append(element("label", {}, input, text));
    }
    quote.replaceWith(fieldset);
    return { number, options, fieldset };
  }

  function answers() {
    const found = {};
    for (const fold of document.querySelectorAll("details")) {
      const number = ANSWER.exec(fold.querySelector("summary")?.textContent.trim() ?? "")?.[1];
      const right = OPTION.exec(fold.querySelector("strong")?.textContent ?? "")?.[1];
      if (number && right) found[number] = { fold, right };
    }
    return found;
  }

  /** Say in words what was predicted and what is so. */
  function verdict({ options }, letter, right) {
    if (!letter) return `You have not predicted. It is ${options[right]}.`;
    return letter === right ? `You predicted ${options[letter]}: right.` : `You predicted ${options[letter]}; it is ${options[right]}.`;
  }

  function start() {
    const chosen = load();
    const asked = [...document.querySelectorAll("article blockquote")].map(question).filter(Boolean);
    if (!asked.length) return;
    const told = answers();
    const claims = document.querySelector("#what-you-can-now-claim");
    const list = element("ol");
    const summary = element("section", { className: "predictions", id: "your-predictions" });
    summary.append(element("h2", {}, "Your predictions"), list);
    claims?.before(summary);

    function show() {
      list.replaceChildren();
      for (const one of asked) {
        const answer = told[one.number];
        if (!answer) continue;
        const line = verdict(one, chosen[one.number], answer.right);
        list.append(element("li", {}, line));
        answer.fold.querySelector(".verdict")?.remove();
        if (chosen[one.number]) {
          answer.fold.querySelector("summary").after(element("p", { className: "verdict" }, line));
        }
      }
    }

    for (const { number, fieldset } of asked) {
      for (const input of fieldset.querySelectorAll("input")) {
        input.checked = input.value === chosen[number];
        input.addEventListener("change", () => {
          chosen[number] = input.value;
          save(chosen);
          show();
        });
      }
    }
    show();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
