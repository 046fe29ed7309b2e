// Lists of what is worth a look: near-duplicates, border cases, outliers; unreadable images; what changed.

const SHOWN_AT_FIRST = 48;

function reviewView() {
  const images = clusters.flatMap((_, index) => packOf(index));
  const border = images.filter((image) => image.border).sort((a, b) => a.margin - b.margin);
  const outliers = images.filter((image) => image.outlier).sort((a, b) => a.typicality - b.typicality);
  const groups = block("duplicates").groups;
  const of = (shown, all) => (shown < all ? `${count(shown)} of ${count(all)}` : count(all));
  return [
    el("div", { class: "lead" }, el("h2", { tabindex: "-1" }, "Worth a look"), el("p", { class: "note" }, "What the result itself says to check first.")),
    section(
      "Near-duplicates",
      groups.length ? `${of(groups.length, summary.duplicates.groups)} ${summary.duplicates.groups === 1 ? "group" : "groups"}, largest first` : "",
      groups.length ? el("ul", { class: "groups" }, groups.map(duplicateGroup)) : emptyState("No near-duplicates", "No two images are equal or nearly so."),
    ),
    section(
      "On the border",
      border.length ? `${of(border.length, summary.border)}, the closest first` : "",
      border.length
        ? more(border, (some) => gallery(some, { plain: true, caption: (image) => [isolated(title(clusters[image.cluster])), " or ", clusters[image.runnerUp] ? isolated(title(clusters[image.runnerUp])) : "none"] }))
        : emptyState("No border cases", "Every image clearly belongs to one cluster."),
    ),
    section(
      "Outliers",
      outliers.length ? `${of(outliers.length, summary.outliers)}, the farthest first` : "",
      outliers.length
        ? more(outliers, (some) => gallery(some, { plain: true, caption: (image) => isolated(title(clusters[image.cluster])) }))
        : emptyState("No outliers", "No image lies far from the others of its cluster."),
    ),
  ];
}

function duplicateGroup(group) {
  group.images.forEach((image, slot) => (image.picture = group.pictures[slot]));
  const into = new Set(group.images.map((image) => image.cluster).filter((cluster) => cluster >= 0));
  return el(
    "li",
    { class: "group" },
    el("p", { class: "group-head" }, el("strong", {}, plural(group.size, "image")), [...into].map((cluster) => [" ", clusterLink(clusters[cluster])])),
    gallery(group.images),
  );
}

/** Some of many items, and a button for the others. */
function more(items, show) {
  if (items.length <= SHOWN_AT_FIRST) return show(items);
  const holder = el("div", {}, show(items.slice(0, SHOWN_AT_FIRST)));
  const button = el("button", { type: "button", class: "button", on: { click: () => holder.replaceChildren(show(items)) } }, `Show all ${count(items.length)}`);
  holder.append(button);
  return holder;
}

function unreadableView() {
  const { count: total, rows, problems, passedOver } = summary.unreadable;
  return [
    el(
      "div",
      { class: "lead" },
      el("h2", { tabindex: "-1" }, total ? plural(total, "unreadable image") : "Every image can be read"),
      total ? el("p", { class: "note" }, "They are in no cluster. Mended or replaced files are tried again in the next run.") : null,
    ),
    total
      ? table(["image", "what is wrong with it"], rows.map(([id, error]) => [el("span", { class: "image-id" }, id), error]))
      : emptyState("Nothing to mend", "No image was damaged, too large or out of reach."),
    rows.length < total ? el("p", { class: "note" }, `The first ${count(rows.length)} are listed.`) : null,
    ...(problems.length
      ? [
          el("div", { class: "lead" }, el("h3", {}, "Could not be looked at"), el("p", { class: "note" }, "Images that were known there are kept as they were.")),
          table(["place", "why"], problems.map(([place, why]) => [el("span", { class: "image-id" }, place), why])),
        ]
      : []),
    ...(passedOver.length
      ? [
          el("div", { class: "lead" }, el("h3", {}, "Passed over"), el("p", { class: "note" }, "Files of the source that were not taken for images.")),
          table(["kind", "files"], passedOver),
        ]
      : []),
  ];
}

function table(heads, rows) {
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": heads.join(", ") },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", { class: typeof cell === "number" ? "number" : null }, typeof cell === "number" ? count(cell) : cell))))),
    ),
  );
}

function changesView() {
  const found = summary.changes;
  const heading = (text, note) => el("div", { class: "lead" }, el("h2", { tabindex: "-1" }, text), note ? el("p", { class: "note" }, note) : null);
  if (!found) return [heading("What changed"), emptyState("Nothing to compare with", "There is no earlier published version of this result.")];
  const named = (id) => (id === null ? "none" : nameOf(id, found));
  const figures = [
    ["moved to another cluster", found.moved],
    ["came", found.came],
    ["went", found.gone],
    [found.renamed.length === 1 ? "cluster has another name" : "clusters have another name", found.renamed.length],
  ];
  const quiet = !found.changed && !found.renamed.length;
  return [
    heading(`Since version ${found.version}`, `published ${when(found.madeAt)}`),
    quiet ? emptyState("Nothing changed", "Every image is where it was.") : el("dl", { class: "figures" }, figures.map(([what, number]) => el("div", {}, el("dd", {}, count(number)), el("dt", {}, what)))),
    found.renamed.length ? section("Other names", "", table(["id", "was", "is"], found.renamed.map(([id, was, is]) => [String(id), isolated(was ?? "unnamed"), isolated(is ?? "unnamed")]))) : null,
    found.clusters.length
      ? section(
          "Clusters that differ",
          "the most changed first",
          table(
            ["cluster", "images before", "now", "stayed", "came", "left"],
            found.clusters.map((row) => [named(row.cluster_id), row.old_size, row.new_size, row.stayed, row.came, row.left]),
          ),
        )
      : null,
    found.images.length
      ? section(
          "Images that moved",
          found.images.length < found.changed ? `the first ${count(found.images.length)} of ${count(found.changed)}` : "",
          table(["image", "was in", "is in"], found.images.map(([id, was, is]) => [el("span", { class: "image-id" }, id), named(was), named(is)])),
        )
      : null,
  ];
}

function nameOf(id, found) {
  const index = clusterAt.get(id);
  if (index !== undefined) return clusterLink(clusters[index]);
  return [isolated(found.names[id] ?? "unnamed"), ` (${id})`];
}
