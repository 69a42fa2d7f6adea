/* Under a hit the search page shows text of the page: take it from the article, not from the menus around it. */
document.addEventListener("DOMContentLoaded", () => {
  const textOf = Search.htmlToText;
  Search.htmlToText = (page, anchor) => {
    const article = new DOMParser().parseFromString(page, "text/html").querySelector("article");
    for (const line of article.querySelectorAll(".run-this-chapter")) line.remove();
    return textOf(`<div role="main">${article.innerHTML}</div>`, anchor);
  };
});
