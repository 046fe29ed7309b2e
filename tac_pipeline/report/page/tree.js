// The tree of clusters, read at the number of groups that a person wants.

const DEFAULT_GROUPS = 12;
const tree = summary.tree ? plantTree(summary.tree) : null;
let groupsWanted = tree ? Math.min(DEFAULT_GROUPS, tree.leaves) : 0;

/** The nodes by number, each with its children and leaves. */
function plantTree(nodes) {
  const byNumber = new Map(nodes.map((node) => [node.node, { ...node, children: [] }]));
  const roots = [];
  for (const node of byNumber.values()) (byNumber.get(node.parent)?.children ?? roots).push(node);
  const leaves = nodes.filter((node) => node.cluster !== null).length;
  return { roots, leaves };
}

/** The tree cut into at least so many groups: what joined last is parted first. */
function cut(wanted) {
  const groups = [...tree.roots];
  while (groups.length < wanted) {
    const splittable = groups.filter((node) => node.children.length).sort((a, b) => b.height - a.height)[0];
    if (!splittable) break;
    groups.splice(groups.indexOf(splittable), 1, ...splittable.children);
  }
  return groups.sort((a, b) => b.size - a.size);
}

function leavesOf(node) {
  return node.children.length ? node.children.flatMap(leavesOf) : [node];
}

function treeView(query) {
  const holder = el("div", {});
  const said = el("output", { for: "groups", class: "note" });
  const draw = () => {
    const groups = cut(groupsWanted);
    said.textContent = plural(groups.length, "group");
    holder.replaceChildren(el("ul", { class: "branches" }, groups.map((node) => branch(node, query))));
    whenNear([...holder.querySelectorAll(".mosaic")], fillMosaic);
  };
  const slider = el("input", {
    type: "range", id: "groups", min: 1, max: tree.leaves, value: groupsWanted,
    on: { input: (event) => { groupsWanted = Number(event.target.value); draw(); } },
  });
  draw();
  return [
    el("div", { class: "lead" }, el("h2", { tabindex: "-1" }, "The tree"), el("p", { class: "note" }, "Clusters that are alike stand together. Read them as few groups or as many.")),
    el("div", { class: "toolbar" }, el("label", { for: "groups" }, "Read as"), slider, said),
    holder,
  ];
}

function branch(node, query) {
  const leaves = leavesOf(node).filter((leaf) => leaf.cluster !== null).sort((a, b) => b.size - a.size);
  return el(
    "li",
    { class: "branch" },
    el("div", { class: "branch-head" }, el("h3", {}, isolated(node.name ?? "unnamed")), el("p", { class: "note" }, `${plural(node.size, "image")} in ${plural(leaves.length, "cluster")}`)),
    el(
      "ul",
      { class: "leaves" },
      leaves.map(({ cluster }) =>
        el(
          "li",
          { class: query && !matches(cluster, query) ? "faded" : null },
          el("a", { class: "leaf", href: `#/cluster/${clusters[cluster].id}` }, el("span", { class: "mosaic", "data-cluster": cluster, "aria-hidden": "true" }), el("span", {}, isolated(title(clusters[cluster]))), el("span", { class: "note" }, count(clusters[cluster].size))),
        ),
      ),
    ),
  );
}
