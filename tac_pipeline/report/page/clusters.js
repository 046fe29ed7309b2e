// The first view: every cluster as a card.

const SORTS = {
  size: ["Largest first", (a, b) => b.size - a.size],
  name: ["By name", (a, b) => title(a).localeCompare(title(b))],
  sure: ["Surest first", (a, b) => (b.confidence ?? -1) - (a.confidence ?? -1)],
  unsure: ["Least sure first", (a, b) => (a.confidence ?? 2) - (b.confidence ?? 2)],
  border: ["Most border cases", (a, b) => b.border - a.border],
};
const FILTERS = {
  all: ["All", () => true],
  border: ["With border cases", (cluster) => cluster.border > 0],
  outliers: ["With outliers", (cluster) => cluster.outliers > 0],
  unnamed: ["Unnamed", (cluster) => cluster.name === null],
  empty: ["Without images", (cluster) => cluster.size === 0],
};
const list = { sort: "size", filter: "all" };
const CARD_PICTURES = 3;

function clustersView(query) {
  const found = clusters.filter((cluster, index) => (!query || matches(index, query)) && FILTERS[list.filter][1](cluster));
  found.sort(SORTS[list.sort][1]);
  const cards = found.map((cluster) => card(cluster, query));
  whenNear(cards.map((item) => item.querySelector(".mosaic")), fillMosaic);
  const said = query || list.filter !== "all" ? `${plural(found.length, "cluster")} of ${count(clusters.length)}` : plural(found.length, "cluster");
  announce(said);
  return [
    el(
      "div",
      { class: "lead" },
      el("h2", { tabindex: "-1" }, said),
      el("p", { class: "note" }, storeLine()),
    ),
    toolbar(),
    cards.length
      ? el("ul", { class: "cards" }, cards)
      : emptyState("No cluster fits", query ? `No name, alternative or noun holds “${query}”.` : "Choose another filter."),
  ];
}

function storeLine() {
  const parts = [plural(summary.images, "image")];
  const unreadable = summary.images - summary.readable;
  if (unreadable) parts.push(`${count(unreadable)} of them unreadable`);
  if (summary.border) parts.push(plural(summary.border, "border case"));
  if (summary.outliers) parts.push(plural(summary.outliers, "outlier"));
  if (summary.duplicates.groups) parts.push(plural(summary.duplicates.groups, "group of near-duplicates", "groups of near-duplicates"));
  return parts.join(" · ");
}

function toolbar() {
  const chosen = (name) => (name === list.filter ? "true" : "false");
  const filters = Object.entries(FILTERS)
    .filter(([name, [, fits]]) => name === "all" || name === list.filter || clusters.some(fits))
    .map(([name, [label]]) =>
      el("button", { type: "button", class: "chip", "data-filter": name, "aria-pressed": chosen(name), on: { click: () => change({ filter: name }) } }, label),
    );
  const sorts = Object.entries(SORTS).map(([name, [label]]) => el("option", { value: name, selected: name === list.sort }, label));
  return el(
    "div",
    { class: "toolbar" },
    el("div", { class: "chips", role: "group", "aria-label": "Show" }, filters.length > 1 ? filters : null),
    el("label", { class: "sort" }, el("span", { class: "hidden" }, "Order"), el("select", { id: "sort", on: { change: (event) => change({ sort: event.target.value }) } }, sorts)),
  );
}

function change(settings) {
  Object.assign(list, settings);
  const focused = document.activeElement?.dataset.filter;
  render();
  // The button that was pressed has been drawn anew.
  const again = focused ? document.querySelector(`[data-filter="${focused}"]`) : document.getElementById("sort");
  again?.focus();
}

function card(cluster, query) {
  const index = clusterAt.get(cluster.id);
  const also = query ? hits(index, query) : [];
  return el(
    "li",
    {},
    el(
      "a",
      { class: "card", href: `#/cluster/${cluster.id}`, style: { "--color": cluster.color } },
      el("span", { class: "mosaic", "data-cluster": index, "aria-hidden": "true" }),
      el(
        "span",
        { class: "card-text" },
        el("span", { class: "card-name" }, isolated(title(cluster)), cluster.curated ? el("span", { class: "badge" }, "curated") : null),
        el("span", { class: "card-facts" }, `${plural(cluster.size, "image")} · ${percent(cluster.share)}`),
        also.length
          ? el("span", { class: "card-also" }, "matches ", listed(also.slice(0, 3)))
          : el("span", { class: "card-also" }, listed(cluster.alternatives.slice(0, 3))),
        cluster.confidence === null ? null : meter(cluster.confidence, `mean confidence ${percent(cluster.confidence)}`),
      ),
    ),
  );
}

function fillMosaic(mosaic) {
  const images = packOf(Number(mosaic.dataset.cluster)).filter((image) => !image.outlier && !image.border);
  const shown = (images.length ? images : packOf(Number(mosaic.dataset.cluster))).slice(0, CARD_PICTURES);
  mosaic.classList.toggle("mosaic-few", shown.length < CARD_PICTURES);
  mosaic.replaceChildren(...(shown.length ? shown.map((image) => picture(image)) : [el("span", { class: "placeholder" }, "no images")]));
}
