// The compatibility table: the last axis across, the others down. Rows are made when they are
// needed, since there may be thousands. Arrow keys move, Enter opens.

const CHUNK = 100;
const MOST_PRINTED = 2000;
const across = axes.length ? axes.length - 1 : null;
const down = axes.slice(0, -1);
const grid = { rows: [], nodes: [], at: [0, 0], body: null, tail: null, columns: [] };

/** Rows of the table, in the order of the cells. */
const rows = (() => {
  const found = new Map();
  for (const cell of cells) {
    const values = cell.axes.slice(0, -1);
    const column = across === null ? 0 : cell.axes[across];
    let key = values.join(" ");
    while (found.get(key)?.cells.has(column)) key += " again"; // two cells must not share a place
    if (!found.has(key)) found.set(key, { values, cells: new Map() });
    found.get(key).cells.set(column, cell);
  }
  return [...found.values()];
})();

function renderGrid() {
  const visibleCells = new Set(matching);
  const holder = byId("grid");
  grid.rows = rows.filter((row) => [...row.cells.values()].some((cell) => visibleCells.has(cell)));
  grid.matching = visibleCells;
  grid.columns = columnsOf(grid.rows);
  grid.nodes = [];
  holder.replaceChildren();
  if (!grid.rows.length) {
    fill(holder, make("p", { class: "notice" }, cells.length ? "No cell matches the filter." : "The run has no cells."));
    return;
  }
  grid.notes = grid.rows.some((row) => notesOf(row));
  grid.body = make("tbody", { role: "rowgroup" });
  grid.tail = make("button", { type: "button", class: "plain more", click: appendRows });
  const table = make("table", {
    role: "grid", class: "grid", "aria-labelledby": "table-title", "aria-readonly": "true",
    "aria-rowcount": grid.rows.length + 1, "aria-describedby": "keys", keydown: onKey,
  }, gridHead(), grid.body);
  // The cells take the focus. The container can be scrolled if it is wider than the screen.
  fill(holder, make("div", { class: "scroll" }, table), grid.tail,
    make("p", { id: "keys", class: "keys quiet" }, make("kbd", {}, "/"), " filter ", make("kbd", {}, "← ↑ ↓ →"), " move ",
      make("kbd", {}, "Enter"), " open ", make("kbd", {}, "Esc"), " close"));
  grid.at = [0, 0];
  appendRows();
  watchTail();
}

function columnsOf(some) {
  const used = new Set(some.flatMap((row) => [...row.cells.keys()]));
  return (across === null ? [0] : axes[across].values.map((_, index) => index).concat(-1)).filter((index) => used.has(index));
}

function gridHead() {
  const titles = grid.columns.map((index) => (across === null ? "cells" : `${axes[across].name} ${axes[across].titles[index] ?? "?"}`));
  return make("thead", { role: "rowgroup" }, make("tr", { role: "row" },
    down.map((axis) => make("th", { role: "columnheader", scope: "col", class: "axis" }, axis.name)),
    titles.map((title) => make("th", { role: "columnheader", scope: "col" }, title)),
    grid.notes && make("th", { role: "columnheader", scope: "col", class: "note" }, "Notes")));
}

/** Return the notes of a row, with the columns of those that do not apply to all cells. */
function notesOf(row) {
  const of = new Map();
  for (const [column, { note }] of row.cells) {
    if (note) of.set(note, [...(of.get(note) ?? []), across === null ? "" : axes[across].values[column] ?? "?"]);
  }
  return [...of].map(([note, names]) => (names.length === row.cells.size ? note : `${names.join(", ")}: ${note}`)).join("; ");
}

/** Make the note of a row. Adjacent rows of a group with the same note share it. */
function noteCell(chunk, index) {
  const note = notesOf(chunk[index]);
  const same = (other) => note && chunk[other] && sameUpTo(chunk[index], chunk[other], 0) && notesOf(chunk[other]) === note;
  if (down.length && same(index - 1)) return null;
  let span = 1;
  while (down.length && same(index + span)) span += 1;
  return make("td", { role: "gridcell", class: "note", rowspan: span }, note);
}

/** Append the next rows, merging repeated labels. */
function appendRows(most = CHUNK) {
  const from = grid.nodes.length;
  const chunk = grid.rows.slice(from, from + (typeof most === "number" ? most : CHUNK));
  chunk.forEach((row, index) => {
    const tr = make("tr", { role: "row", "aria-rowindex": from + index + 2, class: index && sameUpTo(chunk[index - 1], row, 0) ? "" : "first" });
    down.forEach((axis, level) => {
      if (index && sameUpTo(chunk[index - 1], row, level)) return;
      let span = 1;
      while (chunk[index + span] && sameUpTo(row, chunk[index + span], level)) span += 1;
      tr.append(make("th", { role: "rowheader", scope: "row", rowspan: span, class: level === down.length - 1 ? "level-last" : "level-up", title: label(axis, row.values[level]) }, label(axis, row.values[level])));
    });
    const nodes = grid.columns.map((column) => gridCell(row.cells.get(column), [from + index, grid.columns.indexOf(column)]));
    fill(tr, nodes, grid.notes && noteCell(chunk, index));
    grid.nodes.push(nodes);
    grid.body.append(tr);
  });
  const left = grid.rows.length - grid.nodes.length;
  grid.tail.hidden = !left;
  grid.tail.textContent = `Show more: ${plural(left, "row")} left`;
  if (!from) roveTo(firstCell(), { focus: false });
}

const sameUpTo = (one, other, level) => one.values.slice(0, level + 1).every((value, index) => value === other.values[index]);

function gridCell(cell, at) {
  if (!cell) return make("td", { role: "gridcell", class: "none" }, make("span", { class: "vh" }, "no cell"));
  const off = !grid.matching.has(cell);
  const regression = cell.change && isWorse(cell.change);
  const trend = data.trends?.[cell.id];
  const node = make("td", {
    role: "gridcell", class: `cell t-${cell.outcome.tone}${off ? " off" : ""}`, tabindex: "-1", title: cell.id, "data-across": across === null ? null : axes[across].values[cell.axes[across]],
    click: () => { roveTo(at); openCell(cell); },
  },
  make("span", { class: "what" }, mark(cell.outcome), cell.reason && !isOfChecks(cell) ? make("span", { class: "why" }, ` ${cell.reason}`) : null),
  make("span", { class: "counts" }, countsOf(cell).map(unbroken).join(" · ")),
  regression && make("span", { class: "tag t-bad" }, "▼ worse", make("span", { class: "vh" }, " than the baseline")),
  cell.reused_from && make("span", { class: "tag" }, "↺ reused"),
  trend && strip(trend, "small"));
  node.cell = cell;
  return node;
}

const unbroken = (words) => words.replaceAll(" ", "\u00a0");
const isOfChecks = (cell) => ["checks", "missing-hardware", "resolver"].includes(cell.reason);
const isWorse = (change) => CHANGES.get(change.change)?.tone === "bad" || change.checks.some(([, kind]) => CHANGES.get(kind)?.tone === "bad");

function firstCell() {
  for (let r = 0; r < grid.nodes.length; r += 1) {
    const c = grid.nodes[r].findIndex((node) => node.cell);
    if (c >= 0) return [r, c];
  }
  return [0, 0];
}

/** Make one cell the target of the Tab key. */
function roveTo([r, c], { focus = true } = {}) {
  const node = grid.nodes[r]?.[c];
  if (!node?.cell) return false;
  grid.nodes[grid.at[0]]?.[grid.at[1]]?.setAttribute("tabindex", "-1");
  grid.at = [r, c];
  node.setAttribute("tabindex", "0");
  if (focus) node.focus();
  return true;
}

const MOVES = {
  ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0],
};

function onKey(event) {
  const [r, c] = grid.at;
  const node = grid.nodes[r]?.[c];
  if (!event.target.cell || event.altKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") openCell(node.cell);
  else if (event.key === "Home") step(event.ctrlKey ? [0, 0] : [r, 0], [0, 1]);
  else if (event.key === "End") step(event.ctrlKey ? [grid.nodes.length - 1, grid.columns.length - 1] : [r, grid.columns.length - 1], [0, -1]);
  else if (event.key in MOVES) {
    const [dr, dc] = MOVES[event.key];
    if (r + dr >= grid.nodes.length) appendRows();
    const last = grid.nodes.length - 1;
    step([Math.min(last, Math.max(0, r + dr)), c + dc], [Math.sign(dr), dc]);
  } else return;
  event.preventDefault();
}

/** Move to a place, or from there in a direction until there is a cell. */
function step([r, c], [dr, dc]) {
  while (grid.nodes[r]?.[c] && !roveTo([r, c])) [r, c] = [r + dr, c + dc];
}

function watchTail() {
  if (grid.tail.hidden) return;
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !grid.tail.hidden) appendRows();
  }, { rootMargin: "400px" }).observe(grid.tail);
}

/** Focus a cell in the table after its details are closed. */
function focusCell(cell) {
  const r = grid.nodes.findIndex((nodes) => nodes.some((node) => node.cell === cell));
  if (r >= 0) roveTo([r, grid.nodes[r].findIndex((node) => node.cell === cell)]);
}
