// Failures grouped by message, so that each cause is listed once.

const SHOWN_GROUPS = 30;
const MISSING = CHECK_BY_WORD.get("missing").code;
// Memory addresses differ between runs and carry no information.
const withoutAddresses = (string) => string.replace(/0x[0-9a-f]{4,}/gi, "0x…");

const isGreen = (cell) => cell.outcome.tone === "good" || cell.outcome.tone === "info";

const functionOf = (check) => check.id.split("[")[0];

/** Group the failures of the matching cells, those in the most cells first. */
function failureGroups() {
  const groups = new Map();
  const put = (key, first, cell, check) => {
    if (!groups.has(key)) groups.set(key, { ...first, cells: new Set(), checks: new Set() });
    groups.get(key).cells.add(cell);
    if (check) groups.get(key).checks.add(check);
  };
  const keys = new Map();
  const keyOf = (index) => {
    if (!keys.has(index)) keys.set(index, withoutAddresses(text("messages", index)));
    return keys.get(index);
  };
  for (const cell of matching) {
    let explained = false;
    for (const one of deviationsOf(cell)) {
      const code = cell.codes[one.place];
      // Missing checks are explained by their cell.
      if (!FAILING.has(code) || code === MISSING) continue;
      const check = checks[cell.checks[one.place]];
      const message = keyOf(one.message);
      const outcome = outcomeAt(cell, one.place);
      const key = message ? `m ${code} ${one.warns} ${message}` : `c ${code} ${one.warns} ${check.index} ${one.reason}`;
      put(key, { message, outcome, reason: data.strings[one.reason], check }, cell, check);
      explained ||= !one.warns;
    }
    if (isGreen(cell) || (explained && cell.reason === "checks")) continue;
    const message = keyOf(cell.message);
    put(`o ${cell.outcome.word} ${cell.reason} ${message}`, { message, outcome: cell.outcome, reason: cell.reason ?? "", check: null }, cell);
  }
  return ofOneClaim([...groups.values()]).sort((one, other) => other.cells.size - one.cells.size);
}

/** Merge instances of one check that fail in the same cells, which probably have the same cause. */
function ofOneClaim(groups) {
  const merged = new Map();
  groups.forEach((group, index) => {
    const claims = new Set([...group.checks].map(functionOf));
    const where = [...group.cells].map((cell) => cell.index).join(" ");
    const key = claims.size === 1 ? `${group.outcome.word} ${[...claims][0]} ${where}` : `${index}`;
    if (!merged.has(key)) return merged.set(key, { ...group, messages: 1 });
    const first = merged.get(key);
    first.messages += 1;
    for (const check of group.checks) first.checks.add(check);
  });
  return [...merged.values()];
}

const PARTS = [
  [({ outcome }) => outcome.tone !== "mute" && !outcome.warns, null],
  [({ outcome }) => outcome.warns, "Warnings, which do not fail a cell"],
  [({ outcome }) => outcome.tone === "mute", "Cells that did not run"],
];

function renderFailures() {
  const groups = failureGroups();
  const parts = PARTS.map(([belongs, title]) => ({ title, those: groups.filter(belongs) }));
  const [{ those: failing }] = parts;
  byId("failures").hidden = !cells.some((cell) => !isGreen(cell) || deviationsOf(cell).some((one) => one.warns));
  byId("failures-count").textContent = failing.length ? String(failing.length) : "none";
  byId("failures-list").replaceChildren(
    ...(failing.length ? [] : [make("p", { class: "notice" }, "No failure among the cells shown.")]),
    ...parts.flatMap(({ title, those }) => (those.length ? [title && make("h3", { class: "part-title" }, title), groupList(those)] : [])).filter(Boolean));
}

function groupList(groups) {
  const list = make("div", {}, groups.slice(0, SHOWN_GROUPS).map(failurePart));
  if (groups.length > SHOWN_GROUPS) {
    const more = make("button", { type: "button", class: "plain more" }, `Show ${groups.length - SHOWN_GROUPS} more`);
    more.addEventListener("click", () => {
      more.remove();
      fill(list, groups.slice(SHOWN_GROUPS).map(failurePart));
    });
    list.append(more);
  }
  return list;
}

function failurePart({ message, outcome, reason, check, cells: where, checks: which, messages }) {
  const first = where.values().next().value;
  const claim = check ? check.claim || check.id : `${where.size === 1 ? "Cell" : "Cells"} ${outcome.word}${reason ? `: ${reason}` : ""}`;
  const how = commandOf(first, check);
  return make("article", { class: `failure b-${outcome.tone}` },
    make("header", {}, mark(outcome), make("h3", {}, claim), make("span", { class: "quiet num" },
      plural(where.size, "cell"), which.size > 1 && `, ${plural(which.size, "check")}`)),
    reason && check && make("p", { class: "reason" }, reason),
    message && block(message),
    messages > 1 && make("p", { class: "quiet" }, `The first of ${messages} different messages is shown.`),
    which.size > 0 && cutList([...which], 3, (one) => make("code", {}, one.id), "check"),
    cutList([...where], 8, (cell) => cellLink(cell, check), "cell"),
    how && command(how));
}
