"use strict";
// Everything that comes from models is inserted as text, never as markup.

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- light and dark theme, sortable tables, hints at scrolling, filter of claims by verdict

function themes() {
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const theme = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = theme === "dark" ? "light" : "dark";
  });
}

function valueOf(cell) {
  const value = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(value);
  return value !== "" && Number.isFinite(number) ? number : value;
}

function compareValues(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === typeof b) return a.localeCompare(b, "en");
  return typeof a === "number" ? 1 : -1;
}

// A row that follows another one stays below it; headings are left out.
function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const groups = [];
  for (const row of [...body.rows]) {
    if (row.classList.contains("follows") && groups.length) groups.at(-1).push(row);
    else groups.push([row]);
  }
  const sorted = groups.filter(([row]) => !row.classList.contains("heading"));
  sorted.sort(([a], [b]) => compareValues(valueOf(a.cells[column]), valueOf(b.cells[column])) * (descending ? -1 : 1));
  body.replaceChildren(...sorted.flat());
}

function sortableTables() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector(".sort")?.addEventListener("click", () => {
      const first = head.classList.contains("figure") ? "descending" : "ascending";
      const second = first === "descending" ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      sortTable(table, column, order === "descending");
    }));
  }
}

// A table that is wider than its region says that it scrolls, and fades out while more is right of it.
function hintAtScrolling(region) {
  const update = () => {
    const hidden = region.scrollWidth - region.clientWidth;
    region.classList.toggle("wide", hidden > 1);
    region.classList.toggle("more", hidden - region.scrollLeft > 1);
  };
  const observer = new ResizeObserver(update);
  for (const node of [region, ...region.children]) observer.observe(node);
  region.addEventListener("scroll", update, { passive: true });
  return region;
}

function claimChoices() {
  const choices = [...document.querySelectorAll(".choice")];
  for (const choice of choices) choice.addEventListener("click", () => {
    for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
    for (const claim of document.querySelectorAll(".claim"))
      claim.hidden = choice.dataset.status !== "all" && claim.dataset.status !== choice.dataset.status;
  });
}

// ---- hostile text: invisible and direction-changing characters are shown by their code

// As in templates.py. Fillers and variation selectors are letters and marks by category.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

function escapeInvisible(text) {
  const parts = [];
  let plain = "";
  for (const character of text) {
    if (!INVISIBLE.test(character)) { plain += character; continue; }
    if (plain) parts.push(plain);
    plain = "";
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(element("span", { class: "control" }, `\u27E8U+${code}\u27E9`));
    if (character === "\n") plain = character; // keep the line break too
  }
  return plain ? [...parts, plain] : parts;
}

themes();
sortableTables();
for (const region of document.querySelectorAll(".scroll")) hintAtScrolling(region);
claimChoices();
