// Changes against the baseline: those for the worse first, with the packages that changed.

/** Group identical changes across cells. */
function changeGroups() {
  const groups = new Map();
  const put = (cell, name, kind, was, is, check) => {
    const key = [name, kind, was, is].join("\n");
    if (!groups.has(key)) groups.set(key, { name, kind, was, is, check, cells: [] });
    groups.get(key).cells.push(cell);
  };
  for (const cell of matching) {
    const found = cell.change;
    if (!found) continue;
    for (const [index, kind, was, is] of found.checks) put(cell, checks[index].id, kind, was, is, checks[index]);
    const explained = found.checks.some(([, kind]) => kind === found.change);
    if (found.change && !explained) put(cell, "the cell itself", found.change, found.before, found.after, null);
  }
  const order = [...CHANGES.keys()];
  return [...groups.values()].sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind) || other.cells.length - one.cells.length);
}

function renderChanges() {
  byId("baseline").hidden = !data.compared;
  if (!data.compared) return;
  const groups = changeGroups();
  const worse = groups.filter((one) => CHANGES.get(one.kind).tone === "bad");
  const others = groups.filter((one) => CHANGES.get(one.kind).tone !== "bad");
  byId("baseline-list").replaceChildren(
    worse.length ? changeTable(worse, { where: true }) : make("p", { class: "notice" }, "No changes for the worse in the cells shown."),
    ...(others.length ? [onDemand(`${plural(others.length, "other change")}`, () => changeTable(others, { where: true }))] : []),
    ...(metricTable() ?? []));
}

/** List the changed metrics with their cells. */
function metricTable() {
  const found = new Map();
  for (const cell of matching) {
    for (const [name, was, is] of cell.change?.metrics ?? []) {
      if (!found.has(name)) found.set(name, []);
      found.get(name).push({ cell, was, is });
    }
  }
  if (!found.size) return null;
  const head = ["Metric", "Before → after", "Ratio", "Cells"];
  return [make("h3", { class: "part-title" }, "Changed metrics"),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Changed metrics" },
      make("table", { class: "plain-table", role: "table" },
        make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head.map((title) => make("th", { scope: "col", role: "columnheader" }, title)))),
        make("tbody", { role: "rowgroup" }, [...found].map(([name, changed]) => make("tr", { role: "row" },
          make("th", { scope: "row", role: "rowheader" }, make("code", {}, name)),
          make("td", { role: "cell", class: "num" }, `${span(changed.map((one) => one.was))} → ${span(changed.map((one) => one.is))}`),
          make("td", { role: "cell", class: "num" }, timesOf(changed)),
          make("td", { role: "cell" }, cutList(changed, 4, ({ cell }) => cellLink(cell), "cell")))))))];
}

/** Return the range of some numbers. */
function span(values) {
  const known = values.filter((value) => value !== null);
  if (!known.length) return "–";
  const [least, most] = [number(Math.min(...known)), number(Math.max(...known))];
  return least === most ? least : `${least} to ${most}`;
}

/** Return the range of ratios of values after and before, if all of them are meaningful. */
function timesOf(changed) {
  const ratios = changed.map(({ was, is }) => (was !== null && is !== null && was * is > 0 ? is / was : null));
  return ratios.includes(null) ? "–" : `${span(ratios)}×`;
}

function changeTable(entries, { where = false } = {}) {
  const head = ["Change", "What", "Before → after", ...(where ? ["Cells", "Changed packages"] : [])];
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Changes" },
    make("table", { class: "plain-table", role: "table" },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head.map((title) => make("th", { scope: "col", role: "columnheader" }, title)))),
      make("tbody", { role: "rowgroup" }, entries.map((one) => make("tr", { role: "row" },
        make("td", { role: "cell" }, make("span", { class: `t-${CHANGES.get(one.kind).tone}` }, one.kind)),
        make("th", { scope: "row", role: "rowheader" }, one.check?.claim && make("span", { class: "claim" }, one.check.claim), make("code", { class: "quiet" }, one.name)),
        make("td", { role: "cell" }, `${one.was ?? "absent"} → ${one.is ?? "absent"}`),
        where && [make("td", { role: "cell" }, cutList(one.cells, 4, (cell) => cellLink(cell, one.check), "cell")), make("td", { role: "cell" }, commonPackages(one.cells))])))));
}

/** List the packages that changed in all of these cells. One of them may be the cause. */
function commonPackages(those) {
  const lists = [...new Set(those.map((cell) => cell.change.packages))].map((index) => data.lists[index]);
  const keys = lists.map((list) => new Set(list.map((row) => row.join("\n"))));
  const common = lists[0].filter((row) => keys.every((set) => set.has(row.join("\n"))));
  if (!common.length) return make("span", { class: "quiet" }, lists.some((list) => list.length) ? "differ from cell to cell" : "none");
  return packageList(common, 6);
}
