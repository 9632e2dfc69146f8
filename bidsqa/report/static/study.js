"use strict";
(() => {
  const table = document.getElementById("table"), body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const text = rows.map(row => row.textContent.toLowerCase());
  const heads = Array.from(table.tHead.rows[0].cells);
  const keys = new Map();
  document.querySelectorAll(".needs-script").forEach(part => { part.hidden = false; });

  // a column's sort keys are read once, when it is first asked for
  const keysOf = (column, kind) => {
    if (!keys.has(column)) {
      keys.set(column, rows.map(row => {
        const cell = row.cells[column];
        if (kind !== "number") return cell.textContent.trim();
        const value = cell.dataset.sort;
        return value === "" ? NaN : Number(value);
      }));
    }
    return keys.get(column);
  };

  const sortBy = (column, head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const values = keysOf(column, head.dataset.kind), sign = up ? 1 : -1;
    const compare = head.dataset.kind === "number"
      // missing values stay at the end in both directions
      ? (a, b) => (isNaN(values[a]) - isNaN(values[b])) || sign * (values[a] - values[b]) || a - b
      : (a, b) => sign * values[a].localeCompare(values[b], "en", {numeric: true}) || a - b;
    const order = rows.map((_, place) => place).sort(compare);
    const all = document.createDocumentFragment();
    order.forEach(place => all.appendChild(rows[place]));
    body.appendChild(all);
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", () => sortBy(column, head));
  });

  const find = document.getElementById("find"), shown = document.getElementById("shown");
  const selects = ["decision", "suffix", "site"]
    .map(name => [name, document.getElementById("by-" + name)]).filter(pair => pair[1]);
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, place) => {
      const kept = selects.every(([name, select]) => !select.value || row.dataset[name] === select.value)
        && words.every(word => text[place].includes(word));
      row.hidden = !kept;
      count += kept;
    });
    shown.textContent = count === rows.length ? "" : count + " of " + rows.length + " scans";
  };
  find.addEventListener("input", filter);
  selects.forEach(([, select]) => select.addEventListener("change", filter));
  filter();

  // says so where columns are hidden, and only there
  const box = table.parentElement, sideways = document.getElementById("sideways");
  const look = () => { sideways.hidden = table.scrollWidth <= box.clientWidth; };
  window.addEventListener("resize", look);
  look();
})();
