// The tree of clusters.

const tree = summary.tree ? plantTree(summary.tree) : null;
let groupsWanted = tree ? Math.min(DEFAULT_BRANCHES, tree.leaves) : 0;

function treeView(query) {
  return [
    el("div", { class: "lead" }, el("h2", { tabindex: "-1" }, "The tree"), el("p", { class: "note" }, "Clusters that are alike stand together. Read them as few groups or as many.")),
    branchesView(tree, {
      first: groupsWanted,
      leaf: ({ cluster }) =>
        el("a", { class: "leaf", href: `#/cluster/${clusters[cluster].id}` }, el("span", { class: "mosaic", "data-cluster": cluster, "aria-hidden": "true" }), el("span", {}, isolated(title(clusters[cluster]))), el("span", { class: "note" }, count(clusters[cluster].size))),
      faded: ({ cluster }) => query && !matches(cluster, query),
      word: "cluster",
      wanted: (many) => (groupsWanted = many),
    }),
  ];
}
