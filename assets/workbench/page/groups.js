// The wall: every group as a card, or the tree that they make.

const GUESS = 0.5;
const MUCH_DOUBT = 0.25;
/** In a narrower window the filters are folded. */
const ROOMY = 860;
const SORTS = {
  size: ["Largest first", (a, b) => b.size - a.size],
  small: ["Smallest first", (a, b) => a.size - b.size],
  name: ["By name", (a, b) => title(a).localeCompare(title(b))],
  look: ["Needs a look first", (a, b) => doubt(b) - doubt(a)],
  sure: ["Surest images first", (a, b) => (factsOf(b).confidence ?? -1) - (factsOf(a).confidence ?? -1)],
  unsure: ["Least sure name first", (a, b) => (a.sureness ?? 2) - (b.sureness ?? 2)],
  yours: ["Corrected first", (a, b) => Number(b.curated) - Number(a.curated)],
};
const NO_FILTERS = { filter: "", least: "", most: "", look: false, twins: false, since: "", label: "" };
const wall = { sort: "size", tree: false, branches: DEFAULT_BRANCHES, ...NO_FILTERS };
/** The groups that are chosen, to be merged. */
const chosenGroups = new Set();
/** What filters and sorts need beside the groups themselves, and for which question it was told. */
const wallFacts = { key: null, groups: {}, changed: null, labeled: null, versions: [], labels: [] };

async function readFacts() {
  const key = JSON.stringify([store.result, wall.since, wall.label]);
  if (wallFacts.key === key) return;
  const asked = Object.entries({ since: wall.since, label: wall.label }).filter(([, value]) => value !== "");
  Object.assign(wallFacts, await ask("/api/wall", Object.fromEntries(asked)), { key });
}

function factsOf(group) {
  const [doubtful, twins, confidence] = wallFacts.groups[group.id] ?? [0, 0, null];
  return { doubtful, twins, confidence };
}

/** How much a group is in need of a look, 0 to 2: by its name, and by its images on the border or far out. */
function doubt(group) {
  const name = group.curated ? 0 : 1 - (group.sureness ?? 0);
  return name + factsOf(group).doubtful / Math.max(group.size, 1);
}

function needsLook(group) {
  if (!group.size) return true;
  return (!group.curated && (group.sureness ?? 0) < GUESS) || factsOf(group).doubtful / group.size >= MUCH_DOUBT;
}

function fitsWall(group) {
  const wanted = wall.filter.toLocaleLowerCase();
  return (
    [title(group), ...group.alternatives].some((text) => text.toLocaleLowerCase().includes(wanted)) &&
    (wall.least === "" || group.size >= Number(wall.least)) &&
    (wall.most === "" || group.size <= Number(wall.most)) &&
    (!wall.look || needsLook(group)) &&
    (!wall.twins || factsOf(group).twins > 0) &&
    (!wall.since || (wallFacts.changed?.[group.id] ?? 0) > 0) &&
    (!wall.label || (wallFacts.labeled?.[group.id] ?? 0) > 0)
  );
}

function isFiltered() {
  return Object.entries(NO_FILTERS).some(([name, value]) => wall[name] !== value);
}

async function groupsView() {
  try {
    await readFacts();
  } catch (error) {
    // A version may be gone meanwhile.
    Object.assign(wall, { since: "", label: "" });
    await readFacts();
    tell(error.message);
  }
  const nodes = wall.tree ? (await ask("/api/tree")).nodes : null;
  const holder = el("div", { id: "wall" });
  const heading = el("h2", { tabindex: "-1" });
  const clear = el("button", { type: "button", class: "quiet", on: { click: () => (Object.assign(wall, NO_FILTERS), render()) } }, "Clear filters");
  const draw = () => {
    const found = store.groups.filter(fitsWall).sort(SORTS[wall.sort][1]);
    const isWhole = found.length === store.groups.length;
    heading.textContent = isWhole ? plural(found.length, "group") : `${plural(found.length, "group")} of ${count(store.groups.length)}`;
    clear.hidden = !isFiltered();
    if (!found.length) holder.replaceChildren(emptyState("No group fits", wall.filter ? `No name holds “${wall.filter}” with these filters.` : "Take a filter away."));
    else if (nodes) holder.replaceChildren(...groupTree(nodes, new Set(found)));
    else holder.replaceChildren(...cardWalls(found));
    announce(heading.textContent);
  };
  draw();
  const unread = store.unreadable ? ` · ${count(store.unreadable)} unreadable` : "";
  return [
    el("div", { class: "lead" }, heading, el("p", { class: "note" }, `${plural(store.images, "image")}${unread}`)),
    wallToolbar(draw, clear),
    Object.keys(store.tags).length ? el("p", { class: "chips tags", "aria-label": "Tags" }, Object.entries(store.tags).map(([tag, many]) => el("a", { class: "chip", href: `#/tag/${encodeURIComponent(tag)}` }, isolated(tag), ` ${count(many)}`))) : null,
    holder,
  ];
}

/** The cards, and folded below them those that were set aside. */
function cardWalls(groups) {
  const [found, aside] = [groups.filter((group) => !group.aside), groups.filter((group) => group.aside)];
  const folded = aside.length ? el("details", { class: "aside", open: !found.length }, el("summary", {}, `${plural(aside.length, "group")} set aside`), cardWall(aside, groupCard)) : null;
  return [found.length ? cardWall(found, groupCard) : null, folded].filter(Boolean);
}

/** The filters; `draw` is called when one has changed. */
function wallToolbar(draw, clear) {
  const set = (name, value) => {
    wall[name] = value;
    draw();
  };
  // What has to be asked of the server first.
  const asked = (name, value) => {
    wall[name] = value;
    attempt(async () => (await readFacts(), draw()));
  };
  const filter = el("input", { type: "search", id: "filter", value: wall.filter, placeholder: "Filter by name", "aria-label": "Filter groups by name", on: { input: (event) => set("filter", event.target.value) } });
  const number = (name, text) => el("input", { type: "number", id: name, min: 0, inputmode: "numeric", class: "size", value: wall[name], placeholder: text, "aria-label": `${text} images`, on: { input: (event) => set(name, event.target.value) } });
  const toggle = (name, text, hint) => {
    const chip = el("button", { type: "button", class: "chip", id: `only-${name}`, title: hint, "aria-pressed": String(wall[name]) }, text);
    chip.addEventListener("click", () => (set(name, !wall[name]), chip.setAttribute("aria-pressed", String(wall[name]))));
    return chip;
  };
  const choice = (name, text, options, changed) => {
    const items = options.map(([value, label]) => el("option", { value, selected: String(value) === wall[name] }, label));
    return el("label", {}, el("span", { class: "hidden" }, text), el("select", { id: name, on: { change: (event) => changed(name, event.target.value) } }, items));
  };
  const versions = wallFacts.versions.map(({ number: version, madeAt }) => [version, `New since version ${version} (${day(madeAt)})`]);
  const labels = wallFacts.labels.map(([label, many]) => [label, `${label} (${count(many)})`]);
  const look = (tree, text) => el("button", { type: "button", class: "chip", "aria-pressed": String(wall.tree === tree), on: { click: () => ((wall.tree = tree), render()) } }, text);
  return el(
    "div",
    { class: "wall-tools" },
    el(
      "div",
      { class: "toolbar" },
      filter,
      el("div", { class: "chips", role: "group", "aria-label": "Show as" }, look(false, "Cards"), look(true, "Tree")),
      wall.tree ? null : el("div", { class: "sort" }, choice("sort", "Order", Object.entries(SORTS).map(([name, [label]]) => [name, label]), set)),
    ),
    el(
      "details",
      { class: "more", open: window.innerWidth > ROOMY || isFiltered() },
      el("summary", {}, "Filters"),
      el(
        "div",
        { class: "toolbar filters", role: "group", "aria-label": "Filters" },
        el("span", { class: "between" }, number("least", "at least"), "to", number("most", "at most")),
        toggle("look", "Needs a look", "the name is a guess, or many images are on the border or far out"),
        Object.values(wallFacts.groups).some(([, twins]) => twins) ? toggle("twins", "Holds duplicates", "near-duplicates of other images of the group") : null,
        versions.length ? choice("since", "New since a version", [["", "Old and new"], ...versions], asked) : null,
        labels.length ? choice("label", "Label", [["", "Any label"], ...labels], asked) : null,
        clear,
      ),
    ),
  );
}

const day = (seconds) => new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** The tree of the groups there are: a group that it does not know yet is a branch of its own. */
function groupTree(nodes, found) {
  const known = new Set(nodes.map(({ cluster }) => cluster));
  const added = store.groups.filter(({ id }) => !known.has(id)).map((group, place) => ({ node: -1 - place, parent: null, cluster: group.id, name: title(group), height: 0 }));
  const tree = plantTree(pruned([...nodes, ...added]));
  const first = Math.min(wall.branches, tree.leaves);
  return branchesView(tree, {
    first,
    leaf: ({ cluster }) => {
      const group = groupById.get(cluster);
      return el("a", { class: "leaf", href: `#/group/${group.id}` }, el("span", { class: "mosaic", "data-group": group.id, "aria-hidden": "true" }), el("span", {}, isolated(title(group))), el("span", { class: "note" }, count(group.size)));
    },
    faded: ({ cluster }) => !found.has(groupById.get(cluster)),
    word: "group",
    wanted: (many) => (wall.branches = many),
  });
}

/** The nodes above groups that there are, with the names and sizes that these have now. */
function pruned(nodes) {
  const byNumber = new Map(nodes.map((node) => [node.node, { ...node, size: 0 }]));
  const kept = new Set();
  for (const node of byNumber.values()) {
    const group = node.cluster === null ? null : groupById.get(node.cluster);
    if (!group) continue;
    node.name = title(group);
    for (let above = node; above; above = byNumber.get(above.parent)) {
      above.size += group.size;
      kept.add(above);
    }
  }
  return [...kept];
}

/** What people decided about a group as a whole. */
function marks(group) {
  return [group.curated ? "yours" : null, group.locked ? "locked" : null, group.aside ? "set aside" : null].filter(Boolean).map((text) => el("span", { class: "badge" }, text));
}

/** What a card holds. */
function groupCard(group) {
  const tick = el("button", { type: "button", class: "tick", role: "checkbox", "aria-checked": String(chosenGroups.has(group.id)), "aria-label": `Choose ${title(group)}` });
  tick.addEventListener("click", () => {
    if (!chosenGroups.delete(group.id)) chosenGroups.add(group.id);
    tick.setAttribute("aria-checked", String(chosenGroups.has(group.id)));
    drawSelection();
  });
  const facts = [plural(group.size, "image"), percent(group.share)];
  if (wall.since && wallFacts.changed) facts.push(`${count(wallFacts.changed[group.id] ?? 0)} new`);
  if (wall.label && wallFacts.labeled) facts.push(`${count(wallFacts.labeled[group.id] ?? 0)} ${wall.label}`);
  if (wall.twins) facts.push(plural(factsOf(group).twins, "duplicate"));
  return [
    tick,
    el(
      "a",
      { class: "card", href: `#/group/${group.id}` },
      el("span", { class: "mosaic", "data-group": group.id, "aria-hidden": "true" }),
      el(
        "span",
        { class: "card-text" },
        el("span", { class: "card-name" }, isolated(title(group)), marks(group)),
        el("span", { class: "card-facts" }, facts.join(" · ")),
        el("span", { class: "card-also", title: group.sureness === null ? "" : `the name fits by ${percent(group.sureness)}` }, sureness(group), group.alternatives.length ? [" · also ", listed(group.alternatives.slice(0, 3))] : null),
      ),
    ),
  ];
}

function fillMosaic(mosaic) {
  const group = groupById.get(Number(mosaic.dataset.group));
  const shown = (group?.typical ?? []).map((id) => ({ id }));
  mosaic.classList.toggle("mosaic-few", shown.length < 3);
  mosaic.replaceChildren(...(shown.length ? shown.map(picture) : [el("span", { class: "placeholder" }, "no images")]));
}
