// A field over each table that can be searched: it leaves the rows that have all the words, and says how many.

(() => {
  function start() {
    for (const table of document.querySelectorAll("table.searchable")) {
      const rows = [...table.tBodies[0].rows];
      const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" "));
      const field = Object.assign(document.createElement("input"), { type: "search" });
      const said = document.createElement("output");
      const label = document.createElement("label");
      const line = Object.assign(document.createElement("p"), { className: "filter" });
      label.append("Find in this table: ", field);
      line.append(label, " ", said);
      (table.closest(".pst-scrollable-table-container") ?? table).before(line);

      function show() {
        const words = field.value.toLowerCase().split(/\s+/);
        rows.forEach((row, number) => {
          row.hidden = !words.every((word) => texts[number].includes(word));
        });
        said.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
      }

      field.addEventListener("input", show);
      show();
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
