// Right-aligns columns of numbers, and sorts a table by a click on a head of its columns.
"use strict";
const value = (row, i) => row.cells[i].textContent.replaceAll("\u200b", "").trim();
const number = (text) => {
  const found = text.replaceAll(",", "").replace("−", "-").match(/^-?\d*\.?\d+(e-?\d+)?/);
  return found ? parseFloat(found[0]) : NaN;
};
for (const table of document.querySelectorAll("table")) {
  const head = table.tHead?.rows[0], body = table.tBodies[0];
  if (!head) continue;
  [...head.cells].forEach((th, i) => {
    const rows = [...body.rows].filter((row) => row.cells[i]);
    const numeric = rows.some((row) => !isNaN(number(value(row, i)))) &&
      rows.every((row) => /^([–∞]?|[-−]?[\d.].*)$/.test(value(row, i)) && value(row, i).length < 24);
    if (numeric) [th, ...rows.map((row) => row.cells[i])].forEach((cell) => cell.classList.add("number"));
    const button = document.createElement("button");
    button.append(...th.childNodes);
    th.append(button);
    button.addEventListener("click", () => {
      const down = th.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      const order = (a, b) => {
        const [x, y] = [value(a, i), value(b, i)];
        if (!numeric) return sign * x.localeCompare(y, "en", { numeric: true });
        const [p, q] = [number(x), number(y)];
        return isNaN(p) ? (isNaN(q) ? 0 : 1) : isNaN(q) ? -1 : sign * (p - q);
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
