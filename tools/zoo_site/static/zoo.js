// The zoo's table sorts by a click on a heading and shows, with the plot's points, what the fields ask for.
document.addEventListener("DOMContentLoaded", () => {
  const table = document.getElementById("zoo");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const column = (name) => heads.findIndex((head) => head.textContent === name);
  const points = new Map([...document.querySelectorAll("#zoo-plot a")].map((point) => [point.dataset.name, point]));
  const words = document.getElementById("zoo-words");
  const choices = [...document.querySelectorAll(".zoo-filter select")];
  const weighted = document.getElementById("zoo-weights");

  function wanted(row) {
    const text = row.textContent.toLowerCase();
    return words.value.toLowerCase().split(/\s+/).every((word) => text.includes(word)) &&
      choices.every((choice) => !choice.value || row.cells[column(choice.dataset.column)].textContent === choice.value) &&
      (!weighted.checked || row.cells[column("weights")].textContent !== "");
  }

  function filter() {
    let count = 0;
    for (const row of rows) {
      const shown = wanted(row);
      row.hidden = !shown;
      points.get(row.dataset.name).style.display = shown ? "" : "none";
      count += shown;
    }
    document.getElementById("zoo-count").textContent = `${count} of ${rows.length}`;
  }

  function sort(index) {
    const head = heads[index];
    const down = head.getAttribute("aria-sort") === "ascending";
    const number = head.classList.contains("number");
    const value = (row) => row.cells[index].textContent;
    const compare = number
      ? (a, b) => Number(value(a)) - Number(value(b))
      : (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
    const empty = (row) => value(row) === "";  // behind all others, either way
    rows.sort((a, b) => empty(a) - empty(b) || (down ? compare(b, a) : compare(a, b)));
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }

  heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => sort(index)));
  [words, weighted, ...choices].forEach((field) => field.addEventListener("input", filter));
  filter();
});
