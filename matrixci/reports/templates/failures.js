// Failures grouped by what they say: one cause is one entry, however many cells it hits.

const SHOWN_GROUPS = 30;
// Addresses in memory differ from run to run and say nothing.
const alike = (string) => string.replace(/0x[0-9a-f]{4,}/gi, "0x…");

const isGreen = (cell) => cell.outcome.tone === "good" || cell.outcome.tone === "info";

/** The groups among the cells that match, the largest first; what can't be installed comes last. */
function failureGroups() {
  const groups = new Map();
  const group = (key, first) => {
    if (!groups.has(key)) groups.set(key, { ...first, cells: new Set(), checks: new Set() });
    return groups.get(key);
  };
  const keys = new Map();
  const keyOf = (index) => {
    if (!keys.has(index)) keys.set(index, alike(text("messages", index)));
    return keys.get(index);
  };
  for (const cell of matching) {
    let told = false;
    for (const one of deviationsOf(cell)) {
      if (!FAILING.has(cell.codes[one.place])) continue;
      const check = checks[cell.checks[one.place]];
      const message = keyOf(one.message);
      const outcome = outcomeAt(cell, one.place);
      const found = group(`${outcome.tone} ${message ? `m ${message}` : `c ${check.index} ${one.reason}`}`, {
        message, outcome, reason: data.strings[one.reason], check,
      });
      found.cells.add(cell);
      found.checks.add(check);
      told = true;
    }
    if (isGreen(cell) || (told && cell.reason === "checks")) continue;
    const found = group(`o ${cell.outcome.word} ${cell.reason} ${keyOf(cell.message)}`, {
      message: keyOf(cell.message), outcome: cell.outcome, reason: cell.reason ?? "", check: null,
    });
    found.cells.add(cell);
  }
  const weight = ({ outcome }) => (outcome.tone === "mute" ? 0 : outcome.word.endsWith("(warning)") ? 1 : 2);
  return [...groups.values()].sort((one, other) => weight(other) - weight(one) || other.cells.size - one.cells.size);
}

function renderFailures() {
  const groups = failureGroups();
  const list = byId("failures-list");
  byId("failures").hidden = !groups.length && !cells.some((cell) => !isGreen(cell));
  byId("failures-count").textContent = groups.length ? String(groups.length) : "";
  list.replaceChildren();
  if (!groups.length) fill(list, make("p", { class: "notice" }, "No failure among the cells shown."));
  fill(list, groups.slice(0, SHOWN_GROUPS).map(failurePart));
  if (groups.length > SHOWN_GROUPS) {
    const more = make("button", { type: "button", class: "plain more" }, `Show ${groups.length - SHOWN_GROUPS} more`);
    more.addEventListener("click", () => {
      more.remove();
      fill(list, groups.slice(SHOWN_GROUPS).map(failurePart));
    });
    list.append(more);
  }
}

function failurePart({ message, outcome, reason, check, cells: where, checks: which }) {
  const first = where.values().next().value;
  const claim = check ? check.claim || check.id : `${where.size === 1 ? "Cell" : "Cells"} ${outcome.word}${reason ? `: ${reason}` : ""}`;
  const how = commandOf(first, check);
  return make("article", { class: `failure b-${outcome.tone}` },
    make("header", {}, mark(outcome), make("h3", {}, claim), make("span", { class: "quiet num" },
      plural(where.size, "cell"), which.size > 1 && `, ${plural(which.size, "check")}`)),
    reason && check && make("p", { class: "reason" }, reason),
    message && block(message),
    which.size > 0 && cutList([...which], 3, (one) => make("code", {}, one.id), "check"),
    cutList([...where], 8, (cell) => cellLink(cell, check), "cell"),
    how && command(how));
}
