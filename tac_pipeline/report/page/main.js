// What stands where: the address after # names the view, the search narrows it, keys move through it.

const VIEWS = {
  clusters: { label: "Clusters", show: (query) => clustersView(query), searched: true },
  map: { label: "Map", show: (query, id) => mapView(query, id), searched: true },
  tree: { label: "Tree", show: (query) => treeView(query), searched: true, hidden: !tree },
  review: { label: "Worth a look", show: () => reviewView() },
  unreadable: { label: "Not read", show: () => unreadableView(), badge: summary.unreadable.count },
  changes: { label: "Changes", show: () => changesView() },
  cluster: { show: (_, id) => clusterView(id), hidden: true },
};
const content = document.getElementById("content");
const search = document.getElementById("search");
const scrolled = new Map();
let shown = { view: null, id: NaN };

function address() {
  const [, view, id] = location.hash.match(/^#\/(\w+)(?:\/(-?\d+))?$/) ?? [];
  return view in VIEWS && !(view === "tree" && !tree) ? { view, id: Number(id ?? NaN) } : { view: "clusters", id: NaN };
}

/** Draw the view that the address names. */
function render() {
  const { view, id } = address();
  redrawOnTheme.clear();
  document.body.dataset.view = view;
  content.replaceChildren(...VIEWS[view].show(search.value.trim(), id).flat(Infinity).filter(Boolean));
  for (const link of document.querySelectorAll("#views a")) {
    const current = link.dataset.view === view || (view === "cluster" && link.dataset.view === "clusters");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Go to where the address points, and put the reader at its head, or where they were on it before. */
function navigate() {
  const key = JSON.stringify(shown);
  const there = address();
  if (shown.view !== null) scrolled.set(key, window.scrollY);
  const first = shown.view === null;
  const back = shown.view === "cluster" && there.view !== "cluster" ? shown.id : NaN;
  shown = there;
  viewer.close();
  render();
  // At first the focus is the browser's: the way begins at the top of the page.
  if (first) return;
  const card = Number.isNaN(back) ? null : content.querySelector(`a[href="#/cluster/${back}"]`);
  (card ?? content.querySelector("h2") ?? content).focus({ preventScroll: true });
  window.scrollTo(0, there.view === "cluster" ? 0 : (scrolled.get(JSON.stringify(there)) ?? 0));
}

function drawNavigation() {
  const links = Object.entries(VIEWS)
    .filter(([, view]) => !view.hidden)
    .map(([name, view]) =>
      el("a", { href: `#/${name}`, "data-view": name }, view.label, view.badge ? el("span", { class: "count" }, count(view.badge)) : null),
    );
  document.getElementById("views").append(...links);
}

search.addEventListener("input", () => {
  if (VIEWS[address().view].searched) render();
  else location.hash = "#/clusters";
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (viewer.isOpen()) {
    // What lies behind it has keys of its own; Escape is the browser's.
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) viewer.move(by);
    return;
  }
  const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
  const { view, id } = address();
  if (event.key === "/" && !typing) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    render();
    search.blur();
  } else if (event.key === "Escape" && view === "cluster") {
    location.hash = "#/clusters";
  } else if (view === "cluster" && !typing && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    const other = clusters[clusterAt.get(id) + (event.key === "ArrowLeft" ? -1 : 1)];
    if (other) location.hash = `#/cluster/${other.id}`;
  } else if (view === "clusters" && !typing && event.key.startsWith("Arrow")) {
    moveAmongCards(event);
  }
});

/** Arrow keys go from card to card as the eye does. */
function moveAmongCards(event) {
  const cards = [...content.querySelectorAll("a.card")];
  const here = cards.indexOf(document.activeElement);
  if (here < 0) return;
  const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const there = cards[here + by];
  if (!there) return;
  event.preventDefault();
  there.focus();
}

drawNavigation();
startTheme();
window.addEventListener("hashchange", navigate);
navigate();
