"use strict";
const table = document.getElementById("runs");
const search = document.querySelector("#controls input");
const choices = [...document.querySelectorAll("#controls select")];
const headings = [...table.tHead.rows[0].cells];
const bodies = [...table.tBodies];
const words = new Map(bodies.map(body => [body, body.textContent.toLowerCase()]));
const value = (body, column) => body.rows[0].cells[column].dataset.value;
const place = name => headings.findIndex(heading => heading.textContent === name);

function filter() {
  const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const body of bodies) {
    const shown = wanted.every(word => words.get(body).includes(word)) &&
      choices.every(each => !each.value || value(body, place(each.dataset.column)) === each.value);
    body.hidden = !shown;
    count += shown;
  }
  document.getElementById("count").textContent = `${count} of ${bodies.length} shown`;
}

function compare(one, other) {
  if (one === "" || other === "") return (one === "") - (other === "");  // missing values last
  const difference = Number(one) - Number(other);
  return Number.isNaN(difference) ? one.localeCompare(other, undefined, {numeric: true}) : difference;
}

function sort(heading, column) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  headings.forEach(each => each.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  bodies.sort((one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    return down && a !== "" && b !== "" ? -compare(a, b) : compare(a, b);
  });
  table.append(...bodies);
}

search.addEventListener("input", filter);
choices.forEach(each => each.addEventListener("change", filter));
headings.forEach((heading, column) => {
  heading.addEventListener("click", () => sort(heading, column));
  heading.addEventListener("keydown", event => event.key === "Enter" && sort(heading, column));
});
filter();
