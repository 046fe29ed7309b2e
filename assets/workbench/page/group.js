// One group with all its images, and what a search found.

const ORDERS = { typical: "Typical first", doubtful: "Doubtful first" };
let order = "typical";
let grid = null;

function groupView(id) {
  const group = groupById.get(id);
  if (!group) return emptyState("This group is no more", "It was merged into another, or left no images.");
  grid = imageGrid(group.size, (start, many) => ask(`/api/group/${id}`, { order, start, count: many }).then((told) => told.images));
  const orders = Object.entries(ORDERS).map(([name, label]) => el("option", { value: name, selected: name === order }, label));
  const button = (text, press) => el("button", { type: "button", class: "button", on: { click: press } }, text);
  return [
    el("div", { class: "crumbs" }, el("a", { class: "quiet", href: "#/groups" }, "← All groups")),
    el(
      "div",
      { class: "cluster-head" },
      el("h2", { tabindex: "-1" }, isolated(title(group))),
      el("p", { class: "note" }, `${plural(group.size, "image")}, ${percent(group.share)} of the store · the name is ${sureness(group)}${group.sureness === null || group.sureness === 1 ? "" : ` (${percent(group.sureness)})`} · id ${group.id}`, marks(group)),
      el(
        "div",
        { class: "toolbar" },
        button("Rename", () => renameGroup(group)),
        button("Merge with…", () => mergeGroup(group)),
        button("Split…", () => attempt(() => splitGroup(group))),
        menu("More", [
          [group.locked ? "Unlock" : "Lock: learning takes no image from it", () => switchGroup("lock", group, !group.locked)],
          [group.aside ? "Bring back to the others" : "Set aside", () => switchGroup("aside", group, !group.aside)],
        ]),
        el("label", { class: "sort" }, el("span", { class: "hidden" }, "Order"), el("select", { id: "order", on: { change: (event) => ((order = event.target.value), render()) } }, orders)),
      ),
    ),
    group.size ? grid.box : emptyState("No images", "Move some here, or merge it."),
  ];
}

async function searchView(text) {
  const told = await ask("/api/search", { text, count: 200 });
  return foundView(told, `“${text}”`, `the ${plural(told.images.length, "image")} nearest to ${told.searchedBy}, best first`);
}

async function tagView(tag) {
  const told = await ask("/api/tag", { tag });
  return foundView(told, isolated(tag), `${plural(told.images.length, "image")} with this tag`);
}

/** What the like was last looked for of. */
let likeOf = [];

async function likeView() {
  if (!likeOf.length) return emptyState("Nothing is chosen", "Choose some images of one kind; about twenty serve best.");
  const told = await post("/api/alike", { images: likeOf });
  return foundView(told, `Like ${plural(likeOf.length, "image")}`, `${plural(told.images.length, "image")} of the whole store ${told.images.length === 1 ? "is" : "are"} proposed, the likest first`);
}

/** Images that were found, and the groups that most of them are in. */
function foundView(told, heading, said) {
  grid = imageGrid(told.images.length, (start, many) => Promise.resolve(told.images.slice(start, start + many)));
  const groups = new Map();
  for (const image of told.images) groups.set(image.group, (groups.get(image.group) ?? 0) + 1);
  const most = [...groups].filter(([id]) => groupById.has(id)).sort((a, b) => b[1] - a[1]).slice(0, 8);
  const choose = () => {
    for (const image of told.images) chosen.set(image.id, image);
    grid.remark();
    drawSelection();
  };
  return [
    el("div", { class: "crumbs" }, el("a", { class: "quiet", href: "#/groups" }, "← All groups")),
    el(
      "div",
      { class: "cluster-head" },
      el("h2", { tabindex: "-1" }, heading),
      el("p", { class: "note" }, said, most.length ? "; most are in " : "", most.flatMap(([id, many], place) => [place ? ", " : "", groupLink(groupById.get(id)), ` (${many})`])),
      el("div", { class: "toolbar" }, el("button", { type: "button", class: "button", on: { click: choose } }, "Choose all")),
    ),
    told.images.length ? grid.box : emptyState("Nothing was found", ""),
  ];
}
