// The view of the map: what it asks of the server, the list of groups beside it, and what is chosen on it.

/** What is known of the map, kept while one goes from view to view. */
const map = { facts: null, placesKey: null, marksKey: null, points: null, chart: null, images: new Map(), filter: "" };
const LISTED_GROUPS = 200;
const HOVER_DELAY = 60;
const MOST_TIPS = 2_000;

async function mapView() {
  await readMap();
  const heading = el("h2", { tabindex: "-1", class: "hidden" }, "Map of the store");
  if (!map.points.count) return [heading, emptyState("No map", "No image of the store can be read.")];
  map.chart ??= startChart();
  if (map.chart.points !== map.points) map.chart.setPoints(map.points);
  map.chart.setGroups(map.facts.groups.map((place) => ({ ...place, name: title(groupById.get(place.id)), size: groupById.get(place.id)?.size ?? 0 })));
  await markChosen();
  // What the selection calls when something else has changed it.
  grid = { remark: markChosen };
  const on = plural(map.points.count, "image");
  const absent = store.images - map.points.count;
  return [
    heading,
    el(
      "div",
      { class: "map" },
      map.chart.element,
      el("aside", { class: "legend", "aria-label": "Groups on the map" }, el("p", { class: "note" }, `${on}${absent > 0 ? `; ${count(absent)} have no place` : ""}. Near means alike; the axes mean nothing.`), groupList()),
    ),
  ];
}

/** Ask for what changed: the places only when there are other images, the groups after each action. */
async function readMap() {
  map.facts = await ask("/api/map");
  const { count: many, places, marks } = map.facts;
  if (places !== map.placesKey) {
    const block = new Uint16Array(await askBytes("/api/map/block/places", { key: places }));
    map.points = new MapPoints(block.subarray(0, many), block.subarray(many));
    [map.placesKey, map.marksKey] = [places, null];
    map.images.clear();
  }
  if (marks !== map.marksKey) {
    map.points.setGroups(new Uint16Array(await askBytes("/api/map/block/marks", { key: marks })));
    map.marksKey = marks;
    map.images.clear();
  }
}

function startChart() {
  const chart = new MapChart();
  chart.onHover = showTip;
  chart.onOpen = (row, event) => attempt(() => pressImage(row, event.ctrlKey || event.metaKey || event.shiftKey));
  chart.onLasso = (outline) => attempt(() => chooseOnMap({ outline }));
  return chart;
}

/** Open an image, or choose it. */
async function pressImage(row, choose) {
  const image = await imageOnMap(row);
  if (!choose) return viewer.open(() => image, 0, 1);
  if (!chosen.delete(image.id)) chosen.set(image.id, { ...image, row, mapKey: map.placesKey });
  drawSelection();
  return markChosen();
}

/** Choose the images inside an outline, or of a group, with those that are chosen already. */
async function chooseOnMap(what) {
  const mapKey = map.placesKey;
  const told = await post("/api/map/chosen", { ...what, key: mapKey });
  told.id.forEach((id, at) => chosen.set(id, { id, hash: told.hash[at], group: told.group[at], second: told.second[at], row: told.rows[at], mapKey }));
  announce(`${plural(told.id.length, "image")} inside`);
  map.chart.setLasso(false);
  drawSelection();
  return markChosen();
}

/** Mark what is chosen; of what was chosen elsewhere the places are asked for. */
async function markChosen() {
  const lost = [...chosen.values()].filter((image) => image.mapKey !== map.placesKey);
  for (const ids of parts(lost.map((image) => image.id))) {
    const { rows } = await send("/api/map/where", { key: map.placesKey, images: ids });
    ids.forEach((id, at) => chosen.has(id) && Object.assign(chosen.get(id), { row: rows[at], mapKey: map.placesKey }));
  }
  const rows = [...chosen.values()].map((image) => image.row).filter((row) => row >= 0);
  map.chart?.setChosen(Uint32Array.from(rows, (row) => map.points.place[row]));
}

/** An image by its row, asked for once. */
function imageOnMap(row) {
  if (!map.images.has(row)) {
    if (map.images.size > MOST_TIPS) map.images.clear();
    const asked = ask("/api/map/image", { key: map.placesKey, row });
    asked.catch(() => map.images.delete(row));
    map.images.set(row, asked);
  }
  return map.images.get(row);
}

function showTip(row, place) {
  clearTimeout(map.pause);
  if (row < 0) return;
  const { tip } = map.chart;
  const group = map.facts.groups[place];
  const name = el("strong", {}, group ? dotOf(group) : null, isolated(title(groupById.get(group?.id))));
  tip.replaceChildren(name);
  // Who only passes over points asks for none of them.
  map.pause = setTimeout(async () => {
    const image = await imageOnMap(row).catch(() => null);
    if (!image || map.points.row[map.chart.hovered] !== row) return;
    tip.replaceChildren(...(store.hasPictures ? [shownNow(picture(image))] : []), name, el("span", { class: "image-id" }, image.id));
  }, HOVER_DELAY);
}

/** A picture that does not wait until it is near the window. */
function shownNow(image) {
  image.loading = "eager";
  return image;
}

function dotOf(group) {
  return el("span", { class: "dot", style: { "--color": group.color } });
}

/** The groups by size, for those who draw no outlines: shown on the map, or chosen whole. */
function groupList() {
  const list = el("ul");
  const input = el("input", { type: "search", value: map.filter, placeholder: "Filter groups", "aria-label": "Filter the groups of the map" });
  const draw = () => {
    const wanted = map.filter.toLocaleLowerCase();
    const fitting = map.chart.bySize.filter((place) => map.chart.groups[place].name.toLocaleLowerCase().includes(wanted));
    const rest = fitting.length - LISTED_GROUPS;
    list.replaceChildren(...fitting.slice(0, LISTED_GROUPS).map(groupEntry), ...(rest > 0 ? [el("li", { class: "note" }, `and ${plural(rest, "more group")}: filter by name`)] : []));
    if (!fitting.length) list.replaceChildren(el("li", { class: "note" }, "No group fits"));
  };
  input.addEventListener("input", () => {
    map.filter = input.value;
    draw();
  });
  draw();
  return [input, list];
}

function groupEntry(place) {
  const group = map.chart.groups[place];
  const show = el("button", { type: "button", class: "legend-entry", "aria-pressed": String(map.chart.lit.has(place)) }, dotOf(group), el("span", {}, isolated(group.name)), el("span", { class: "note" }, count(group.size)));
  show.addEventListener("click", () => {
    const lit = new Set(map.chart.lit);
    if (!lit.delete(place)) lit.add(place);
    map.chart.light(lit);
    map.chart.fit(lit.size ? lit : null);
    show.setAttribute("aria-pressed", String(lit.has(place)));
  });
  const choose = el("button", { type: "button", class: "quiet", "aria-label": `Choose all of ${group.name}`, on: { click: () => attempt(() => chooseOnMap({ group: group.id })) } }, "Choose");
  return el("li", { class: "legend-row" }, show, choose);
}
