// Decode the page's data. Its strings come from the run and are untrusted.

const data = JSON.parse(byId("data").textContent);
const outcomesOf = (rows) => new Map(rows.map(([code, word, glyph, tone]) => [code, { code, word, glyph, tone }]));
const CELL_OUTCOMES = outcomesOf(data.cellOutcomes);
const CHECK_OUTCOMES = outcomesOf(data.checkOutcomes);
const CHECK_BY_WORD = new Map([...CHECK_OUTCOMES.values()].map((one) => [one.word, one]));
const CHANGES = outcomesOf(data.changes);
const FAILING = new Set([...CHECK_OUTCOMES.values()].filter((one) => one.tone === "bad").map((one) => one.code));

const named = (kind, row) => Object.fromEntries(data.fields[kind].map((field, index) => [field, row[index]]));
const checks = data.checks.map((row, index) => ({ index, ...named("check", row) }));
const axes = data.axes.map(([name, values, titles]) => ({ name, values, titles }));
const cells = data.cells.map((row, index) => {
  const cell = named("cell", row);
  cell.index = index;
  cell.outcome = CELL_OUTCOMES.get(cell.outcome);
  cell.checks = data.sets[cell.checks];
  cell.codes = data.strings[cell.outcomes];
  cell.note = data.strings[cell.note];
  cell.change = cell.change && named("change", cell.change);
  if (cell.change) cell.change.checks = data.lists[cell.change.checks];
  return cell;
});
// An address cannot contain lone surrogates, so ids are looked up in their well-formed version.
const byIdOf = (all) => {
  const found = new Map(all.map((one) => [one.id.toWellFormed(), one]));
  return (id) => found.get((id ?? "").toWellFormed()) ?? null;
};
const cellOf = byIdOf(cells);
const checkOf = byIdOf(checks);

/** Return a text, with a note if it was cut or left out. */
function text(kind, index) {
  if (index === null) return `(not included in this page; see ${data.folder})`;
  const [kept, missing] = data[kind][index];
  if (!missing) return kept;
  const note = `(${plural(missing, "character")} left out; full text in ${data.folder})`;
  return kind === "logs" ? `${note}\n${kept}` : `${kept}\n${note}`;
}

const deviations = new Map();

/** Return the checks of a cell whose outcome is not passed. */
function deviationsOf(cell) {
  // Many cells share the same list, so it is decoded once.
  if (!deviations.has(cell.deviations)) {
    deviations.set(cell.deviations, data.lists[cell.deviations].map((row) => named("deviation", row)));
  }
  return deviations.get(cell.deviations);
}

const warning = (outcome) => ({ ...outcome, word: `${outcome.word} (warning)`, glyph: "!", tone: "warn", warns: true });
const WARNINGS = new Map([...FAILING].map((code) => [code, warning(CHECK_OUTCOMES.get(code))]));

/** Return the outcome of a check in a cell. A failure that is only a warning is shown as a warning. */
function outcomeAt(cell, place) {
  const code = cell.codes[place];
  const warns = FAILING.has(code) && deviationsOf(cell).some((one) => one.place === place && one.warns);
  return warns ? WARNINGS.get(code) : CHECK_OUTCOMES.get(code);
}

/** Return all checks of a cell with all of their data. */
function checksOf(cell) {
  const deviating = new Map(deviationsOf(cell).map((one) => [one.place, one]));
  const metrics = new Map((cell.metrics === null ? [] : data.lists[cell.metrics]).map(([place, ...rest]) => [place, rest]));
  return cell.checks.map((index, place) => {
    const one = deviating.get(place);
    return {
      check: checks[index],
      outcome: outcomeAt(cell, place),
      seconds: seconds(cell.seconds.slice(2 * place, 2 * place + 2)),
      metrics: metrics.get(place) ?? [],
      reason: one ? data.strings[one.reason] : "",
      message: one ? text("messages", one.message) : "",
      detail: one && one.detail !== null ? text("details", one.detail) : "",
      need: one ? one.need : null,
    };
  });
}

function seconds(place) {
  const { digits, decade, least } = data.scale;
  const value = digits.indexOf(place[0]) * digits.length + digits.indexOf(place[1]);
  return value ? least * 10 ** ((value - 1) / decade) : 0;
}

function duration(value) {
  if (value < 0.0005) return "0 s";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

const counted = new Map();

/** Return the number of a cell's checks by outcome, as words in report order. */
function countsOf(cell) {
  const key = `${cell.outcomes} ${cell.deviations}`;
  if (!counted.has(key)) counted.set(key, count(cell));
  return counted.get(key);
}

function count(cell) {
  const found = new Map();
  for (const code of cell.codes) found.set(code, (found.get(code) ?? 0) + 1);
  const needs = new Map();
  let warned = 0;
  for (const { need, place, warns } of deviationsOf(cell)) {
    if (warns && FAILING.has(cell.codes[place])) {
      found.set(cell.codes[place], found.get(cell.codes[place]) - 1);
      warned += 1;
    }
    if (need && cell.codes[place] === "s") needs.set(need, (needs.get(need) ?? 0) + 1);
  }
  const needing = [...needs.values()].reduce((sum, one) => sum + one, 0);
  const passed = (found.get("p") ?? 0) + (found.get("x") ?? 0);
  const words = cell.codes ? [`${passed} passed`] : [];
  for (const code of FAILING) {
    if (found.get(code)) words.push(`${found.get(code)} ${CHECK_OUTCOMES.get(code).word}`);
  }
  if (found.get("k")) words.push(plural(found.get("k"), "known issue"));
  if (warned) words.push(plural(warned, "warning"));
  for (const [need, many] of needs) words.push(`${many} ${many === 1 ? "needs" : "need"} a ${need === "gpu" ? "GPU" : need}`);
  const skipped = (found.get("s") ?? 0) - needing;
  if (skipped) words.push(`${skipped} skipped`);
  return words;
}

/** Return the label of an axis value. */
function label(axis, index) {
  const value = axis.values[index] ?? "?";
  return axis.name === "python" ? `py${value}` : `${axis.name} ${value}`;
}

function commandOf(cell, check) {
  const words = data.lists[cell.command].map((word) => (word === "\0" ? cell.id : word));
  return words.length ? words.join(" ") + (check ? check.command : "") : "";
}
