// Every check in every matching cell, some cells at a time.

const COLUMNS = 40;
let firstColumn = 0;

function renderChecks() {
  firstColumn = 0;
  const ran = matching.filter((cell) => cell.codes);
  byId("checks").hidden = !checks.length;
  drawChecks(ran);
}

function drawChecks(ran) {
  const tallies = tally(ran);
  const shownChecks = checks.filter((check) => tallies[check.index].total && (state.all || tallies[check.index].deviates));
  const columns = ran.slice(firstColumn, firstColumn + COLUMNS);
  const places = columns.map((cell) => new Map(cell.checks.map((index, place) => [index, place])));
  const box = make("input", { type: "checkbox", change: () => { state.all = box.checked; keepState(); drawChecks(ran); } });
  box.checked = state.all;
  const table = make("table", { class: "matrix" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Check"), make("th", { scope: "col", class: "num" }, "Passed"),
      columns.map((cell) => make("th", { scope: "col", class: "upright" }, cellLink(cell))))),
    make("tbody", {}, shownChecks.map((check) => {
      const { passed, total } = tallies[check.index];
      return make("tr", {}, make("th", { scope: "row" }, make("span", { class: "claim" }, check.claim || check.id), make("code", { class: "quiet" }, check.id)),
        make("td", { class: "num" }, `${passed}/${total}`),
        columns.map((cell, index) => checkEntry(cell, check, places[index].get(check.index))));
    })));
  byId("checks-list").replaceChildren(
    make("div", { class: "controls" }, make("label", {}, box, " Show checks that passed everywhere"), pager(ran)),
    shownChecks.length ? make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Checks by cell" }, table)
      : make("p", { class: "notice" }, ran.length ? `All ${plural(checks.length, "check")} passed or were skipped because of missing hardware.` : "None of the cells shown ran a check."));
}

function tally(ran) {
  const tallies = checks.map(() => ({ passed: 0, total: 0, deviates: false }));
  for (const cell of ran) {
    for (let place = 0; place < cell.codes.length; place += 1) {
      const one = tallies[cell.checks[place]];
      const code = cell.codes[place];
      one.total += 1;
      if (code === "p") one.passed += 1;
      else if (code !== "s") one.deviates = true;
    }
  }
  return tallies;
}

function checkEntry(cell, check, place) {
  if (place === undefined) return make("td", { class: "none" }, make("span", { class: "vh" }, "not in this cell"));
  const outcome = outcomeAt(cell, place);
  if (outcome.code === "p" || outcome.code === "s") return make("td", {}, mark(outcome, { word: false }));
  const link = make("a", {
    href: address({ cell, check }), title: `${outcome.word}: ${cell.id}`,
    click: (event) => { event.preventDefault(); openCell(cell, check); },
  }, mark(outcome, { word: false }));
  return make("td", { class: `b-${outcome.tone}` }, link);
}

function pager(ran) {
  if (ran.length <= COLUMNS) return null;
  const turn = (offset, title, glyph) => {
    const to = firstColumn + offset;
    return make("button", { type: "button", class: "plain", "aria-label": title, disabled: to < 0 || to >= ran.length,
      click: () => { firstColumn = to; drawChecks(ran); } }, glyph);
  };
  const last = Math.min(ran.length, firstColumn + COLUMNS);
  return make("span", { class: "pager" }, turn(-COLUMNS, "Earlier cells", "←"),
    make("span", { class: "num" }, `cells ${firstColumn + 1}–${last} of ${ran.length.toLocaleString("en")}`), turn(COLUMNS, "Later cells", "→"));
}
