// Which view is shown, and the keys that work everywhere.

/** What of the store is drawn, and the problem that was told last. */
let drawn = null;
let toldProblem = null;
let drawing = 0;

async function render({ keep = false } = {}) {
  // There is nothing yet, which the page says.
  if (!store) return;
  const mine = (drawing += 1);
  const [, view, rest] = location.hash.match(/^#\/(\w+)(?:\/(.*))?$/) ?? [];
  const content = document.getElementById("content");
  const top = window.scrollY;
  const focused = keep ? held() : () => {};
  grid = null;
  let found;
  // The first search has to load the encoder.
  let isBusy = false;
  const slow = ["search", "like", "near", "picture"].includes(view) ? setTimeout(() => busy((isBusy = true)), 150) : 0;
  try {
    if (view === "group") found = await groupView(Number(rest));
    else if (view === "like") found = await likeView();
    else if (view === "near" && rest) found = await nearView(decodeURIComponent(rest));
    else if (view === "picture") found = await pictureView();
    else if (view === "tag" && rest) found = await tagView(decodeURIComponent(rest));
    else if (view === "search" && rest) found = await searchView(decodeURIComponent(rest));
    else if (view === "map") found = await mapView();
    else found = await groupsView();
  } catch (error) {
    found = emptyState("This cannot be shown", error.message);
  } finally {
    clearTimeout(slow);
    if (isBusy) busy(false);
  }
  // A later view was asked for meanwhile.
  if (mine !== drawing) return;
  content.replaceChildren(...[found].flat().filter(Boolean));
  document.body.dataset.view = view ?? "groups";
  for (const link of document.querySelectorAll("#views a")) {
    if (link.dataset.view === document.body.dataset.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, keep ? top : 0);
  focused();
  drawn = standing();
  document.title = `${store.store}: workbench`;
  document.getElementById("store").textContent = store.store;
  for (const name of ["undo", "redo"]) {
    const button = document.getElementById(name);
    button.disabled = !store[name];
    button.title = store[name] ? `${name} the last ${store[name]}` : "";
  }
  drawSelection();
}

/** What gives the focus back to where it is now, once all was drawn again. */
function held() {
  const content = document.getElementById("content");
  const focus = document.activeElement;
  if (!content.contains(focus)) return () => {};
  const [place, card, id] = [grid?.box === focus ? grid.place() : null, focus.closest("a.card")?.getAttribute("href"), focus.id];
  return () => {
    if (place !== null) grid?.focus(place);
    else if (card) [...content.querySelectorAll("a.card")].find((link) => link.getAttribute("href") === card)?.focus({ preventScroll: true });
    else if (id) document.getElementById(id)?.focus({ preventScroll: true });
  };
}

/** Draw again where one was, after something has changed. */
function refresh() {
  render({ keep: true });
}

/** Another window, or a run, may have changed the result. */
async function lookAgain() {
  if (document.hidden || document.documentElement.hasAttribute("data-busy") || document.querySelector("dialog[open]")) return;
  await readStore().catch(() => {});
  if (!store) return;
  if (standing() !== drawn) refresh();
  tellProblem();
}

/** Say once why the tables do not follow. */
function tellProblem() {
  if (!store.waiting) untell();
  if (store.problem && store.problem !== toldProblem) tell(store.problem);
  toldProblem = store.problem;
}

/** What a page draws of the store: groups, tags, and what can be undone come of the result and of the actions. */
function standing() {
  return `${store.result} ${store.known} ${store.seen}`;
}

document.getElementById("undo").addEventListener("click", () => attempt(() => act({ do: "undo" })));
document.getElementById("redo").addEventListener("click", () => attempt(() => act({ do: "redo" })));
document.getElementById("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.getElementById("search").value.trim();
  location.hash = text ? `#/search/${encodeURIComponent(text)}` : "#/groups";
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || document.querySelector("dialog[open], .menu:popover-open")) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey || event.altKey) {
    // All others are the browser's own.
    if (key !== "z" || event.altKey) return;
    event.preventDefault();
    document.getElementById(event.shiftKey ? "redo" : "undo").click();
  } else if (key === "/") {
    event.preventDefault();
    document.getElementById("search").focus();
  } else if (key === "f" && document.getElementById("filter")) {
    event.preventDefault();
    document.getElementById("filter").focus();
  } else if (key === "e" && chosen.size) exportImages({ images: [...chosen.keys()] }, chosen.size);
  else if (key === "m" && chosen.size) moveChosen();
  else if (key === "escape") document.getElementById("let-go")?.click();
});
window.addEventListener("hashchange", () => render());
window.addEventListener("focus", lookAgain);
setInterval(lookAgain, 5000);
startTheme();
startBringing();
readStore().then(() => (render(), tellProblem()), (error) => {
  // There is no result yet; it is looked for again and again.
  document.getElementById("content").replaceChildren(emptyState("Nothing can be shown yet", error.message));
});
