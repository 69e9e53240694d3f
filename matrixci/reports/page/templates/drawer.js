// The details of a cell. The open cell is part of the address.

const drawer = byId("drawer");
let openedFrom = null;

/** Open a cell, or a check in it, and store it in the address. */
function openCell(cell, check = null) {
  if (!drawer.open) openedFrom = document.activeElement;
  history[state.cell ? "replaceState" : "pushState"](null, "", address({ cell, check }));
  Object.assign(state, { cell, check });
  showDrawer();
}

function closeCell() {
  const cell = state.cell;
  Object.assign(state, { cell: null, check: null });
  keepState();
  showDrawer();
  if (openedFrom?.isConnected && openedFrom !== document.body) openedFrom.focus();
  else if (cell) focusCell(cell);
  openedFrom = null;
}

/** Show the drawer according to the state. */
function showDrawer() {
  if (!state.cell) {
    if (drawer.open) drawer.close();
    return;
  }
  drawer.replaceChildren(...drawerParts(state.cell));
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
  const wanted = state.check && drawer.querySelector(`[data-check="${state.check.index}"]`);
  if (!wanted) return drawer.querySelector("h2").focus();
  for (let part = wanted; part && part !== drawer; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  wanted.focus();
  wanted.scrollIntoView({ block: "start" });
}

function drawerParts(cell) {
  const run = checksOf(cell);
  const [passed, others] = [run.filter((one) => one.outcome.code === "p"), run.filter((one) => one.outcome.code !== "p")];
  const order = (one) => [...FAILING, "x", "k", "s"].indexOf(one.outcome.code);
  others.sort((one, other) => order(one) - order(other));
  const message = text("messages", cell.message);
  const trend = data.trends?.[cell.id];
  const how = commandOf(cell);
  return [
    drawerHead(cell),
    make("div", { class: "drawer-body" },
      make("p", { class: "outcome" }, mark(cell.outcome), cell.reason && !isOfChecks(cell) && ` · ${cell.reason}`,
        make("span", { class: "quiet" }, countsOf(cell).length ? ` · ${countsOf(cell).join(" · ")}` : "")),
      message && cell.reason !== "checks" && make("p", { class: "message" }, message), // otherwise shown with the checks
      cell.note && cell.note !== message && make("p", { class: "quiet" }, cell.note),
      cell.reused_from && make("p", { class: "quiet" }, `↺ Reused from run ${cell.reused_from}, since nothing has changed`),
      cell.attempts > 1 && make("p", { class: "quiet" }, `${cell.attempts} attempts: earlier attempts failed because of the infrastructure`),
      trend && strip(trend),
      cell.detail !== null && onDemand("Full message", () => block(text("details", cell.detail))),
      how && [make("h3", {}, "Reproduce"), command(how)],
      data.compared && changePart(cell),
      run.length > 0 && make("h3", {}, "Checks ", make("span", { class: "count" }, String(run.length))),
      others.length > 0 && make("div", { class: "deviating" }, others.map((one) => checkPart(cell, one))),
      passed.length > 0 && onDemand(`${passed.length} passed`, () => passed.map((one) => checkPart(cell, one)),
        { open: state.check !== null && passed.some((one) => one.check === state.check) }),
      cell.steps.length > 0 && [make("h3", {}, "Time"), timeChart(cell.steps)],
      make("h3", {}, "Contents"),
      cell.attestation === null ? make("p", { class: "quiet" }, "No attestation from the container.")
        : onDemand("Attested by the container", () => facts(data.lists[cell.attestation])),
      onDemand("Declared", () => facts([["requires", data.lists[cell.requires].join("\n") || "only the subject"],
        ...data.lists[cell.environment], ["GPU", cell.gpu ? "requested" : "not requested"]])),
      cell.image !== null && onDemand("Image", () => facts(data.lists[cell.image])),
      filePart("Lock", "locks", cell.lock, cell.lock_file),
      filePart("Bill of materials", null, null, cell.sbom_file),
      filePart("Log", "logs", cell.log, cell.log_file)),
  ];
}

function drawerHead(cell) {
  const at = matching.indexOf(cell);
  const neighbour = (offset, title, glyph) => {
    const other = at < 0 ? null : matching[at + offset];
    return make("button", {
      type: "button", class: "plain", title, "aria-label": title, disabled: !other,
      click: () => other && openCell(other),
    }, glyph);
  };
  return make("header", { class: "drawer-head" },
    make("div", {},
      make("h2", { id: "drawer-title", tabindex: "-1" }, cell.id),
      make("p", { class: "quiet" }, axes.map((axis, index) => label(axis, cell.axes[index])).join(" · "))),
    make("div", { class: "drawer-keys" }, neighbour(-1, "Previous cell", "↑"), neighbour(1, "Next cell", "↓"),
      make("button", { type: "button", class: "plain", "aria-label": "Close", title: "Close (Esc)", click: closeCell }, "✕")));
}

function checkPart(cell, { check, outcome, seconds: took, reason, message, detail, metrics }) {
  const trend = data.trends?.[`${cell.id}\t${check.id}`];
  const quiet = outcome.code === "p" || outcome.code === "s";
  const how = commandOf(cell, check);
  const body = [
    reason && outcome.code !== "k" && make("p", { class: "reason" }, reason),
    message && block(message),
    trend && strip(trend),
    metrics.length > 0 && make("p", { class: "quiet" }, metrics.map(([name, value]) => `${name} ${number(value)}`).join(" · ")),
    make("p", { class: "ids" }, make("code", {}, check.id), check.reference && [" ", reference(check)]),
    how && command(how, `Copy the command for ${check.id}`),
    detail && onDemand("Traceback and output", () => block(detail)),
  ];
  return make("details", { class: "check", "data-check": check.index, tabindex: "-1", open: !quiet && outcome.code !== "k" },
    make("summary", {}, mark(outcome), make("span", { class: "claim" }, check.claim || check.id,
        outcome.code === "k" && reason && make("span", { class: "excuse quiet" }, reason)),
      make("span", { class: "took num" }, duration(took))),
    make("div", { class: "check-body" }, body));
}

function reference(check) {
  if (!check.link) return make("span", {}, check.reference);
  return make("a", { href: check.link, rel: "noreferrer noopener" }, check.reference);
}

const block = (content) => make("pre", { tabindex: "0" }, coloured(content));

function filePart(title, kind, index, file) {
  if (!file && index === null) return null;
  const where = file ? `${data.folder}/${file}` : data.folder;
  if (index === null) return make("p", { class: "quiet" }, `${title}: in ${where}`);
  return onDemand(title, () => {
    const content = block(text(kind, index));
    return [make("p", { class: "file quiet" }, make("code", {}, where), copyButton(content, `Copy: ${title}`)), content];
  });
}

/** Show the steps of a cell on a time line. Waiting is lighter than work. */
function timeChart(steps) {
  const whole = Math.max(...steps.map(([, began, took]) => began + took), 0.001);
  return make("ol", { class: "times" }, steps.map(([name, began, took]) => {
    const bar = make("span", { class: name.startsWith("wait") ? "wait" : "work" });
    bar.style.marginLeft = `${(100 * began) / whole}%`;
    bar.style.width = `${(100 * took) / whole}%`;
    return make("li", {}, make("span", {}, name), make("span", { class: "track", "aria-hidden": "true" }, bar),
      make("span", { class: "num" }, duration(took)));
  }));
}

function changePart(cell) {
  const title = make("h3", {}, "Changes since the baseline");
  if (!cell.change) return [title, make("p", { class: "quiet" }, "No changes of outcome, checks or packages.")];
  const { change, before, after, checks: changed, packages, python, metrics } = cell.change;
  const versions = [...(python ? [["python", ...python]] : []), ...data.lists[packages]];
  return [title,
    change && make("p", {}, make("b", { class: `t-${CHANGES.get(change).tone}` }, change), ` ${before ?? "absent"} → ${after ?? "absent"}`),
    changed.length > 0 && changeTable(changed.map(([index, kind, was, is]) => ({ name: checks[index].id, kind, was, is, check: checks[index] }))),
    versions.length ? packageList(versions, 12) : make("p", { class: "quiet" }, "No changed packages."),
    metrics.length > 0 && make("p", { class: "quiet" }, metrics.map(([name, was, is]) => `${name} ${number(was)} → ${number(is)}`).join(" · "))];
}

drawer.addEventListener("cancel", (event) => {
  event.preventDefault();
  closeCell();
});
drawer.addEventListener("click", (event) => {
  if (event.target === drawer && event.offsetX < 0) closeCell(); // outside the drawer
});
