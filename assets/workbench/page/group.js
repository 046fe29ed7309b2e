// One group with all its images.

const ORDERS = { typical: "Typical first", doubtful: "Doubtful first" };
let order = "typical";
/** One image of each group of near-duplicates is shown, in every group. */
let distinct = false;
let grid = null;

async function groupView(id) {
  const group = groupById.get(id);
  if (!group) return emptyState("This group is no more", "It was merged into another, or left no images.");
  const asked = (start, many) => ask(`/api/group/${id}`, { order, start, count: many, ...(distinct ? { distinct: 1 } : {}) });
  const alone = distinct || group.size ? (await ask(`/api/group/${id}`, { count: 0, distinct: 1 })).size : 0;
  const hidden = group.size - alone;
  const shown = distinct ? alone : group.size;
  grid = imageGrid(shown, (start, many) => asked(start, many).then((told) => told.images));
  const orders = Object.entries(ORDERS).map(([name, label]) => el("option", { value: name, selected: name === order }, label));
  const button = (text, press) => el("button", { type: "button", class: "button", on: { click: press } }, text);
  const twins = hidden
    ? el("button", { type: "button", class: "chip", id: "distinct", "aria-pressed": String(distinct), on: { click: () => ((distinct = !distinct), render()) } }, distinct ? `${plural(hidden, "duplicate")} hidden` : `Hide ${plural(hidden, "duplicate")}`)
    : null;
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
        group.size ? el("button", { type: "button", class: "button", id: "choose-all", on: { click: () => attempt(() => chooseGroup(group)) } }, "Choose all") : null,
        group.size ? button("Export…", () => exportImages({ group: group.id, distinct: distinct && hidden > 0 }, shown, title(group))) : null,
        menu("More", [
          [group.locked ? "Unlock" : "Lock: learning takes no image from it", () => switchGroup("lock", group, !group.locked)],
          [group.aside ? "Bring back to the others" : "Set aside", () => switchGroup("aside", group, !group.aside)],
        ]),
        twins,
        el("label", { class: "sort" }, el("span", { class: "hidden" }, "Order"), el("select", { id: "order", on: { change: (event) => ((order = event.target.value), render()) } }, orders)),
      ),
    ),
    group.size ? grid.box : emptyState("No images", "Move some here, or merge it."),
  ];
}

/** Choose every image of a group that is shown, also where it was not looked at yet. */
async function chooseGroup(group) {
  const { ids } = await ask(`/api/group/${group.id}/ids`, distinct ? { distinct: 1 } : {});
  for (const id of ids) if (!chosen.has(id)) chosen.set(id, { id, group: group.id });
  grid?.remark();
  drawSelection();
}
