// What the scripts of a page share: elements, and what stays on the reader's machine, by its kind and by page.

const reader = {
  /** What is kept of what a reader does: what it looks like, and the kind that holds how much a page has of it. */
  DONE: {
    predictions: { valid: (value) => /^[a-z]$/.test(value), counted: "asked" },
    solved: { valid: (value) => value === true, counted: "exercises" },
  },

  page: location.pathname.split("/book/").pop(),

  element(name, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  },

  /** Return what is kept of a kind for a page; nothing where it cannot be read. */
  kept(kind, page = reader.page) {
    try {
      return JSON.parse(localStorage.getItem(`${kind} ${page}`));
    } catch {
      return null;
    }
  },

  /** Return what is done on a page, by question or exercise; whatever else may stand there is left out. */
  done(kind, page) {
    const { valid } = reader.DONE[kind];
    const entries = Object.entries(reader.kept(kind, page) ?? {});
    return Object.fromEntries(entries.filter(([, value]) => valid(value)));
  },

  keep(kind, value) {
    try {
      localStorage.setItem(`${kind} ${reader.page}`, JSON.stringify(value));
    } catch {
      // Nothing can be kept here: it lasts as long as the page.
    }
    document.dispatchEvent(new Event("answered"));
  },

  whenRead(start) {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
    else start();
  },
};
