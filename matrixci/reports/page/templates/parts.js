// Small charts and lists used by several parts of the page.

/** Draw earlier outcomes as a strip and metrics as lines, both with a description in words. */
function strip(trend, size = "") {
  const [outcomes, metrics, numbers = []] = trend;
  const runs = numbers.map((number) => data.trendRuns[number]);
  const known = outcomes.map((word) => CHECK_BY_WORD.get(word) ?? CELL_OUTCOMES.get(word) ?? { word, glyph: "?", tone: "mute" });
  const width = 6 * known.length;
  const drawing = makeSvg("svg", { viewBox: `0 0 ${width} 12`, width, height: 12, role: "img", "aria-label": visible([describe(known), ...spanOf(runs)].join(", ")) },
    known.map((one, index) => makeSvg("rect", {
      x: 6 * index, width: 4, rx: 1, class: `f-${one.tone}`,
      // Height as well as colour, so that failures are visible in greyscale.
      y: one.tone === "good" ? 4 : 0, height: one.tone === "good" ? 8 : 12,
    }, runs[index] && makeSvg("title", {}, `${one.word}: ${runs[index]}`))));
  return make("span", { class: `trend ${size}` }, drawing,
    !size && make("span", { class: "quiet" }, describe(known)),
    !size && runs.length > 0 && onDemand("Runs", () =>
      make("ul", {}, runs.map((run, index) => make("li", {}, mark(known[index]), ` ${run}`)).reverse())),
    !size && Object.entries(metrics).map(([name, values]) => sparkline(name, values)));
}

/** Describe the first and the last run. */
function spanOf(runs) {
  return runs.length ? [`from ${runs[0]}`, `to ${runs.at(-1)}`] : [];
}

function describe(known) {
  if (!known.length) return "no earlier runs";
  const last = known.at(-1);
  let since = known.length;
  while (since > 0 && known[since - 1].word === last.word) since -= 1;
  const flips = known.filter((one, index) => index && one.word !== known[index - 1].word).length;
  const span = since ? `for ${plural(known.length - since, "run")}` : `in all ${plural(known.length, "run")}`;
  return `${last.word} ${span}, ${plural(flips, "change")}`;
}

function sparkline(name, values) {
  const real = values.filter((value) => value !== null);
  if (!real.length) return null;
  const [least, most] = [Math.min(...real), Math.max(...real)];
  const points = real.map((value, index) =>
    `${(2 + (96 * index) / Math.max(1, real.length - 1)).toFixed(1)},${(18 - (16 * (value - least)) / (most - least || 1)).toFixed(1)}`);
  const words = `${name}: ${number(real[0])} to ${number(real.at(-1))}, min ${number(least)}, max ${number(most)}`;
  return make("span", { class: "spark" },
    makeSvg("svg", { viewBox: "0 0 100 20", width: 100, height: 20, role: "img", "aria-label": visible(words) },
      makeSvg("polyline", { points: points.join(" "), fill: "none" })),
    make("span", { class: "quiet" }, words));
}

/** Format a number with three significant digits. Whole numbers below 100,000 are exact. */
function number(value) {
  if (value === null) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 100000) return String(value);
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}

/** List names and values, such as a container's attestation. */
function facts(pairs) {
  return make("dl", { class: "facts" }, pairs.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** List the packages that changed between two locks. */
function packageList(packages, most = 8) {
  return cutList(packages, most, ([name, before, after]) => make("span", { class: "package" },
    make("b", {}, name), before === null ? ` ${after} added` : after === null ? ` ${before} removed` : ` ${before} → ${after}`), "package");
}

/** Make a link to a cell, or to a check in it. */
function cellLink(cell, check = null) {
  const link = make("a", { class: "cell-link", href: address({ cell, check }) }, cell.id);
  // On a click, use the current filters. They may have changed since the link was made.
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openCell(cell, check);
  });
  return link;
}

/** Make a collapsible part whose content is built when it is first opened. */
function onDemand(title, build, { open = false } = {}) {
  const part = make("details", { class: "part", open }, make("summary", {}, title));
  const once = () => {
    if (part.open && part.childElementCount === 1) fill(part, build());
  };
  part.addEventListener("toggle", once);
  part.build = once; // printing cannot wait for the event
  once();
  return part;
}
