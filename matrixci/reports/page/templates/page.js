// Start of the page: controls, keys, the address, and printing.

const THEMES = ["auto", "light", "dark"];
// Collapsed parts that are expanded for printing. Locks, logs and passed checks are not.
const PRINTED = ".blocking details:not([open]), #baseline .part:not([open]), .deviating > .check:not([open])";

function buildNav() {
  for (const section of document.querySelectorAll("section[data-nav]")) {
    if (section.hidden) continue;
    byId("nav").append(make("a", { href: `#${section.id}`, "data-jump": section.id }, section.dataset.nav));
  }
  // The address contains the state, so a jump within the page must not change it.
  for (const link of document.querySelectorAll("[data-jump]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const section = byId(link.dataset.jump);
      section.scrollIntoView();
      section.setAttribute("tabindex", "-1");
      section.focus({ preventScroll: true });
    });
  }
}

function buildTheme() {
  const button = byId("theme");
  let theme = "auto";
  try {
    theme = localStorage.getItem("matrixci-theme") ?? "auto";
  } catch { /* without storage, follow the system */ }
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try {
      localStorage.setItem("matrixci-theme", theme);
    } catch { /* without storage, the choice lasts until the page is closed */ }
    show();
  });
  show();
}

function onGlobalKey(event) {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key === "/" && !typing && !drawer.open && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && event.target === search) {
    change(() => { state.q = ""; search.value = ""; });
  }
}

function preparePrint() {
  while (grid.body?.isConnected && !grid.tail.hidden && grid.nodes.length < MOST_PRINTED) appendRows(MOST_PRINTED);
  for (const part of document.querySelectorAll(PRINTED)) {
    part.open = true;
    part.build?.();
    part.dataset.printed = "";
  }
}

function endPrint() {
  for (const part of document.querySelectorAll("details[data-printed]")) {
    part.open = false;
    delete part.dataset.printed;
  }
}

readState();
buildFilters();
buildTheme();
showFilters();
listeners.push(renderGrid, renderFailures, renderChanges, renderChecks);
refilter();
buildNav();
for (const holder of document.querySelectorAll("[data-command]")) {
  holder.append(copyButton(holder.querySelector("code"), "Copy the command"));
}
document.addEventListener("keydown", onGlobalKey);
addEventListener("hashchange", () => {
  readState();
  showFilters();
  refilter();
  showDrawer();
});
addEventListener("beforeprint", preparePrint);
addEventListener("afterprint", endPrint);
showDrawer();
