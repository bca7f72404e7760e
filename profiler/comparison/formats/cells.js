// The table of all cells: filtered, sorted by any column, shown a page at a time.
(() => {
  const { devices, verdicts, digits, rows } = JSON.parse(document.getElementById("cells").textContent);
  const [DEVICE, SUBNET, RESOLUTION, , BASE, NOW, CHANGE, LOW, HIGH, VERDICT] = Array(10).keys();
  const PAGE = 100;
  const form = document.getElementById("filters");
  const body = document.querySelector("#table tbody");
  const heads = [...document.querySelectorAll("#table thead th")];
  const more = document.getElementById("more");
  let order = { column: CHANGE, sign: -1 };
  let limit = PAGE;

  const name = (row, column) =>
    column === DEVICE ? devices[row[DEVICE]] : column === VERDICT ? verdicts[row[VERDICT]] : row[column];

  const shown = (row, column) => {
    const value = name(row, column);
    if (value === null) return "not known";
    if (column === BASE || column === NOW) return value.toFixed(3);
    if (column === CHANGE || column === LOW || column === HIGH) return (value > 0 ? "+" : "") + value.toFixed(digits);
    return String(value);
  };

  const compare = (a, b) => {
    const [x, y] = [name(a, order.column), name(b, order.column)];
    if (x === y) return 0;
    // What is not known comes last, whichever way the rest is sorted.
    if (x === null || y === null) return x === null ? 1 : -1;
    return order.sign * (x < y ? -1 : 1);
  };

  const wanted = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    const device = form.elements.device?.value ?? "";
    const verdict = form.elements.verdict.value;
    return rows.filter((row) =>
      (text === "" || String(row[SUBNET]).toLowerCase().includes(text) || String(row[RESOLUTION]) === text) &&
      (device === "" || row[DEVICE] === Number(device)) &&
      (verdict === "" || row[VERDICT] === Number(verdict)));
  };

  const line = (row) => {
    const element = document.createElement("tr");
    element.dataset.verdict = verdicts[row[VERDICT]];
    for (const column of row.keys()) {
      const cell = document.createElement(column === SUBNET ? "th" : "td");
      if (column === SUBNET) cell.scope = "row";
      cell.textContent = shown(row, column);
      element.append(cell);
    }
    return element;
  };

  const show = () => {
    const found = wanted().sort(compare);
    body.replaceChildren(...found.slice(0, limit).map(line));
    heads.forEach((head, column) => {
      const direction = order.sign > 0 ? "ascending" : "descending";
      head.setAttribute("aria-sort", column === order.column ? direction : "none");
    });
    const visible = Math.min(limit, found.length);
    document.getElementById("shown").textContent = `${visible} of ${found.length} cells shown`;
    more.hidden = visible === found.length;
  };

  const restart = () => { limit = PAGE; show(); };

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    order = { column, sign: order.column === column ? -order.sign : 1 };
    restart();
  }));
  // Not every browser fires both for every way to choose.
  form.addEventListener("input", restart);
  form.addEventListener("change", restart);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { limit += 5 * PAGE; show(); });
  show();
})();
