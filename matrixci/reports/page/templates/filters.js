// Which cells are shown. The filters are stored in the address, so that a link includes them.

const state = { q: "", outcome: new Set(), axes: new Map(), cell: null, check: null, all: false };
const listeners = [];
const axisKey = (axis) => `axis.${axis.name}`;
let matching = cells;

/** Read the state from the address. */
function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.q = given.get("q") ?? "";
  state.outcome = new Set(given.getAll("outcome").filter((word) => CELL_OUTCOMES.has(word)));
  state.axes = new Map(axes.map((axis) => [axis.name, new Set(given.getAll(axisKey(axis)))]));
  state.cell = cellOf(given.get("cell"));
  state.check = checkOf(given.get("check"));
  state.all = given.has("all");
}

/** Return the address of the current state with another cell or check. */
function address({ cell = state.cell, check = null } = {}) {
  const given = new URLSearchParams();
  if (state.q) given.set("q", state.q);
  for (const word of state.outcome) given.append("outcome", word);
  for (const axis of axes) {
    for (const value of state.axes.get(axis.name)) given.append(axisKey(axis), value);
  }
  if (state.all) given.set("all", "");
  if (cell) given.set("cell", cell.id);
  if (cell && check) given.set("check", check.id);
  return `#${given}`;
}

function keepState() {
  history.replaceState(null, "", address({ check: state.check }));
}

const lower = (string) => string.toLowerCase();
const haystacks = {};

/** Return the entries of a table that contain a word. Each table is lowercased once. */
function holding(kind, words, word) {
  haystacks[kind] ??= words.map(lower);
  const found = new Set();
  haystacks[kind].forEach((hay, index) => { if (hay.includes(word)) found.add(index); });
  return found;
}

function matcher(word) {
  const strings = holding("strings", data.strings, word);
  const messages = holding("messages", data.messages.map(([kept]) => kept), word);
  const found = holding("checks", checks.map((check) => `${check.id}\n${check.claim}`), word);
  return (cell) =>
    lower(cell.id).includes(word) || cell.outcome.word.includes(word) || lower(cell.reason ?? "").includes(word)
    || messages.has(cell.message) || lower(cell.note).includes(word)
    || axes.some((axis, index) => lower(label(axis, cell.axes[index])).includes(word))
    || deviationsOf(cell).some((one) =>
      messages.has(one.message) || strings.has(one.reason) || found.has(cell.checks[one.place]));
}

/** Apply the filters and update all parts of the page. */
function refilter() {
  const words = lower(state.q).split(/\s+/).filter(Boolean).map(matcher);
  const wanted = axes.map((axis) => {
    const names = state.axes.get(axis.name);
    return names.size ? new Set(axis.values.flatMap((name, index) => (names.has(name) ? [index] : []))) : null;
  });
  const inAxes = (cell) => wanted.every((values, index) => !values || values.has(cell.axes[index]));
  const found = cells.filter((cell) => inAxes(cell) && words.every((matches) => matches(cell)));
  matching = found.filter((cell) => !state.outcome.size || state.outcome.has(cell.outcome.word));
  for (const listener of listeners) listener();
  showCounts(found);
}

function change(apply) {
  apply();
  keepState();
  refilter();
}

function toggle(set, value) {
  if (!set.delete(value)) set.add(value);
}

const chips = new Map();
const shown = make("span", { class: "shown" });
const reset = make("button", { type: "button", class: "plain", hidden: true }, "Clear");
const search = make("input", {
  type: "search", placeholder: "Filter: text of cells, checks, messages", "aria-label": "Filter by text",
  "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false",
});

function buildFilters() {
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change(() => { state.q = search.value.trim(); }), 120);
  });
  reset.addEventListener("click", () => change(() => {
    state.q = "";
    state.outcome.clear();
    for (const values of state.axes.values()) values.clear();
    showFilters();
    search.focus();
  }));
  fill(byId("filters"),
    make("div", { class: "search" }, search, make("kbd", { "aria-hidden": "true" }, "/")),
    make("div", { class: "outcomes", role: "group", "aria-label": "Outcome" },
      [...CELL_OUTCOMES.values()].filter((one) => cells.some((cell) => cell.outcome === one)).map(outcomeChip)),
    make("div", { class: "menus" }, axes.map(axisMenu)),
    make("div", { class: "result" }, shown, reset));
}

function outcomeChip(outcome) {
  const number = make("span", { class: "num" });
  const chip = make("button", {
    type: "button", class: `chip t-${outcome.tone}`, "aria-pressed": "false",
    click: () => change(() => { toggle(state.outcome, outcome.word); showFilters(); }),
  }, make("span", { "aria-hidden": "true" }, `${outcome.glyph} `), `${outcome.word} `, number);
  chips.set(outcome.word, { chip, number });
  return chip;
}

const menus = [];

function axisMenu(axis) {
  const title = make("span", { class: "chosen" });
  const menu = make("details", { class: "menu" }, make("summary", {}, `${axis.name} `, title));
  const boxes = axis.values.map((name, index) => {
    const box = make("input", {
      type: "checkbox",
      change: () => change(() => { toggle(state.axes.get(axis.name), name); showFilters(); }),
    });
    return { name, box, line: make("label", {}, box, ` ${axis.titles[index]}`) };
  });
  const choices = make("div", { class: "choices", role: "group", "aria-label": axis.name }, boxes.map(({ line }) => line));
  fill(menu, choices);
  menu.addEventListener("toggle", () => {
    choices.classList.remove("leftward");
    const beyond = choices.getBoundingClientRect().right > document.documentElement.clientWidth;
    choices.classList.toggle("leftward", beyond);
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.firstChild.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  menus.push({ axis, title, boxes });
  return menu;
}

/** Update the controls from the state. */
function showFilters() {
  search.value = state.q;
  for (const [word, { chip }] of chips) chip.setAttribute("aria-pressed", String(state.outcome.has(word)));
  for (const { axis, title, boxes } of menus) {
    const values = state.axes.get(axis.name);
    for (const { name, box } of boxes) box.checked = values.has(name);
    title.textContent = values.size ? visible([...values].join(", ")) : "all";
  }
}

function showCounts(found) {
  const many = new Map();
  for (const cell of found) many.set(cell.outcome.word, (many.get(cell.outcome.word) ?? 0) + 1);
  for (const [word, { number }] of chips) number.textContent = (many.get(word) ?? 0).toLocaleString("en");
  const whole = matching.length === cells.length;
  shown.textContent = whole ? plural(cells.length, "cell") : `${matching.length.toLocaleString("en")} of ${plural(cells.length, "cell")}`;
  reset.hidden = !(state.q || state.outcome.size || [...state.axes.values()].some((values) => values.size));
  say(shown.textContent);
}
